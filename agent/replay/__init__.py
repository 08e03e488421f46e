"""Incidents played again through the same `decide`, from what was recorded of them."""
