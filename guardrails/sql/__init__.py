"""PostgreSQL text: tokens, statements, the locks they take and what may be read."""
