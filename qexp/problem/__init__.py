"""The parts of every decision problem: episodes, metric, schedulers, scorer network, bundles of policies."""
