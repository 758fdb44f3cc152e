"""The stages of a run, in their order: train, evaluate, deploy, report; and how a run is resumed."""
