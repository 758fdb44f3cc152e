"""The configuration: what options there are, how a composed config is checked, and what identifies it."""
