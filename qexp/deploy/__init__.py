"""Where decisions become jobs."""
