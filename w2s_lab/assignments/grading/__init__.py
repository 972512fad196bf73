"""Runs what students hand in, each submission in a guarded process of its own, and compares what it computes."""
