"""Incidents of the lab as they were recorded, and fresh ones made from them."""
