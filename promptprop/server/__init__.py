"""The engine as a service: the native API, the contract of the existing front end, health and metrics."""
