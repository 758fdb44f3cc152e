"""What the learner is paid for: one option per file."""
