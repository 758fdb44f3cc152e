"""How far simulation was from what was measured.

Nothing is imported here, so that the command line pays for no plot: see `qexp.deploy.gap.gap`.
"""
