"""What an incident is and what happens next: pure."""
