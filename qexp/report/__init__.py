"""What a run's numbers mean: statistics, the leaderboard and the plots.

Nothing is imported here, so that `qexp.report.leaderboard` does not pull in matplotlib.
"""
