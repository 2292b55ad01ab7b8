"""The search strategies, one a file, against the workbench alone."""
