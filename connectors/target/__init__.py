"""The databases being repaired: one connection that only reads, and one that runs approved actions."""
