"""Real servers as child processes, for `stanch dev`, the demo and the tests: never for production."""
