"""Rewards of a learner: one option per file."""
