"""The model roles: each is a template file, filled here, and the parser of its reply."""
