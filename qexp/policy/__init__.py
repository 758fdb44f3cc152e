"""What was learned: features, network and bundle of a placement policy. Needs neither Ray nor Gymnasium."""

from qexp.policy.bundle import Policy, load_policy, save_policy

__all__ = ["Policy", "load_policy", "save_policy"]
