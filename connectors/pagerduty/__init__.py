"""PagerDuty: its V3 webhook comes in, the state of an incident goes out."""
