"""Storage: `ports.Store` over SQLAlchemy Core, on SQLite or PostgreSQL, with one writer thread a process."""
