"""Numbers round an alert in, ranked causes out: pure."""
