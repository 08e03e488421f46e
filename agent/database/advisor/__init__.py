"""Which indexes would make a statement or a workload faster: pure, over a planner that answers "what if"."""
