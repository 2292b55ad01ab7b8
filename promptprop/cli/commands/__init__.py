"""One command a file; see `promptprop.cli.registry`."""
