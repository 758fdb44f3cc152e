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

_PUBLIC = {
    "api": "run Experiment evaluate leaderboard show_versions",
    "stages.run": "Result",
    "errors": "InputError",
    "problem.bundle": "load_policy",
    "fleet.fleet": "load_fleet Fleet FleetSource",
    # For options of one's own: how to register them, what they derive from, what they meet.
    "config.option": "option group Configurable",
    "problem.scheduler": "Scheduler",
    "problem.problem": "DecisionProblem Played",
    "problem.metric": "Metric",
    "problem.policy": "Policy",
    "placement.schedulers.placer": "Placer RankingPlacer RankingScheduler",
    "placement.state": "TaskState NodeState wait_times",
    "placement.reward.reward": "Reward Outcome",
    "placement.workload.workload": "Workload Circuits",
    "placement.arrivals.arrivals": "Arrivals",
    "placement.service_time.service_time": "ServiceTime",
    "gates.schedulers.gate_scheduler": "GateScheduler PlanningScheduler",
    "algo.training": "Training",
    "algo.on_policy": "OnPolicy",
    "deploy.deployment": "Deployment",
    "deploy.executors.executor": "Executor",
}
_MODULE = {name: f"qexp.{module}" for module, names in _PUBLIC.items() for name in names.split()}
__all__ = ["__version__", *_MODULE]  # noqa: PLE0604 -- names, all of them


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULE:
        raise AttributeError(f"module 'qexp' has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(_MODULE[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    """Return what is public."""
    return sorted(__all__)
