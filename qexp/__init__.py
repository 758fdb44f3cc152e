"""qexp decides where quantum work runs: simulate, learn, compare and deploy placement policies.

Everything public is here, and imported when it is first asked for::

    import qexp

    result = qexp.run("algo=a2c", "env.tasks=25")
    result.leaderboard  # a DataFrame
    result.policy  # a trained policy
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    # run, compare, look
    "run": "qexp.api",
    "Experiment": "qexp.api",
    "evaluate": "qexp.api",
    "leaderboard": "qexp.api",
    "show_versions": "qexp.api",
    "Result": "qexp.record",
    "InputError": "qexp.errors",
    # what was made
    "load_policy": "qexp.policy.bundle",
    "load_fleet": "qexp.backend.fleet",
    "Fleet": "qexp.backend.fleet",
    # options of one's own: how to register them, what they derive from, what they meet
    "option": "qexp.config.option",
    "group": "qexp.config.option",
    "Configurable": "qexp.config.option",
    "Scheduler": "qexp.scheduler.scheduler",
    "RankingScheduler": "qexp.scheduler.scheduler",
    "PlanningScheduler": "qexp.scheduler.planning",
    "TaskState": "qexp.state",
    "NodeState": "qexp.state",
    "wait_times": "qexp.state",
    "Reward": "qexp.env.reward.reward",
    "Outcome": "qexp.env.reward.reward",
    "Workload": "qexp.workload.workload",
    "Circuits": "qexp.workload.workload",
    "Arrivals": "qexp.workload.arrivals.arrivals",
    "ServiceTime": "qexp.workload.service_time.service_time",
    "FleetSource": "qexp.backend.fleet",
    "Training": "qexp.algo.training",
    "OnPolicy": "qexp.algo.on_policy",
    "Deployment": "qexp.deploy.deployment",
    "Executor": "qexp.deploy.executor",
    "DecisionProblem": "qexp.env.decision_problem",
    "Played": "qexp.env.decision_problem",
    "Metric": "qexp.metric",
    "Policy": "qexp.policy.policy",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 -- names, all of them


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'qexp' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return what is public."""
    return sorted(__all__)
