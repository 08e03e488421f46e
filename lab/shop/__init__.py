"""A small shop of four HTTP services and a background job on one PostgreSQL: what Stanch is shown against."""
