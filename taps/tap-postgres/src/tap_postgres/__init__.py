"""Singer tap for PostgreSQL."""
