"""The loop that learns: it drives the proposer and the evaluator, which are processes of their own, and keeps the
record.
"""
