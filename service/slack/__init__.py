"""The Slack channel: what is said there follows the store, what is clicked there is decided in the store."""
