"""The command line: thin commands that load, call the engine, render and exit."""
