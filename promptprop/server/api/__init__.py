"""The native API under `/api/v1`: a file a resource, thin over `bootstrap.service` and the store."""
