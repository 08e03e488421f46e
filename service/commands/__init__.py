"""One command or group a file; loaded only when it is called, so that every other one starts fast."""
