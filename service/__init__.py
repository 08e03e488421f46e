"""The edges, thin: HTTP, Celery and the command line turned into calls on the rooms below."""
