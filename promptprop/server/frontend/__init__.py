"""The API of the existing browser front end, on the same engine and tables: see docs/front-end.md."""
