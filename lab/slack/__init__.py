"""A local server that plays Slack by its documented wire facts, for tests and figures. It is no Slack."""
