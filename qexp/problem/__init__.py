"""What every decision problem has: episodes, a metric, schedulers, a scorer network, bundles of policies."""
