"""A run's figures: statistics, the leaderboard and the plots.

Nothing is imported here, so that `qexp.report.leaderboard` does not pull in matplotlib.
"""
