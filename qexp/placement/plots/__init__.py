"""Pictures of placements."""
