"""A campaign: tasks that a scheduler places, one journalled order after another."""
