"""A small shop of three HTTP services on one PostgreSQL: what Stanch is shown against."""
