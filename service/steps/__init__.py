"""The steps of an incident: each loads, does one thing outside, and hands back what to save."""
