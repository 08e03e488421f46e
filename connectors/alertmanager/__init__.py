"""Alertmanager: its webhook comes in, silences go out."""
