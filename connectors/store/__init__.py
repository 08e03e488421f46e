"""Our own database: what happened, what is due, who decided. It decides; Celery only carries ids."""
