"""Slack: messages as pure Block Kit, the guard before anything is parsed, the client, who may click."""
