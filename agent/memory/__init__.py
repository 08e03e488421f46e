"""What the agent remembers: of this incident, of its course, and of those before it."""
