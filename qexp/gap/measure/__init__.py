"""Measurements of a campaign beside simulations of it."""
