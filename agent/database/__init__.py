"""What a database being repaired tells us, and what follows from it: pure, over snapshots."""
