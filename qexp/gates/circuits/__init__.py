"""Where the circuits come from whose gates are scheduled."""
