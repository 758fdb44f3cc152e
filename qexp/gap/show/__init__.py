"""The gap report: page, plots, tables, notes."""
