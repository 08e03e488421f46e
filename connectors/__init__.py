"""The only room that talks to the outside; one system a module."""
