"""Who orders jobs."""
