"""The simulated production: a shop, its faults, its load, and the benchmarks that drive Stanch against it."""
