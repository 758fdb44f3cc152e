"""Placement (``env=placement``): each arriving task goes to one machine of a fleet."""
