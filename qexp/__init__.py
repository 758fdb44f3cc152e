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
    "Result": "qexp.stages.run",
    "InputError": "qexp.errors",
    # what was made
    "load_policy": "qexp.problem.bundle",
    "load_fleet": "qexp.fleet.fleet",
    "Fleet": "qexp.fleet.fleet",
    # options of one's own: how to register them, what they derive from, what they meet
    "option": "qexp.config.option",
    "group": "qexp.config.option",
    "Configurable": "qexp.config.option",
    "Scheduler": "qexp.problem.scheduler",
    "Placer": "qexp.placement.schedulers.placer",
    "RankingPlacer": "qexp.placement.schedulers.placer",
    "RankingScheduler": "qexp.placement.schedulers.placer",
    "GateScheduler": "qexp.gates.schedulers.gate_scheduler",
    "PlanningScheduler": "qexp.gates.schedulers.gate_scheduler",
    "TaskState": "qexp.placement.state",
    "NodeState": "qexp.placement.state",
    "wait_times": "qexp.placement.state",
    "Reward": "qexp.placement.reward.reward",
    "Outcome": "qexp.placement.reward.reward",
    "Workload": "qexp.placement.workload.workload",
    "Circuits": "qexp.placement.workload.workload",
    "Arrivals": "qexp.placement.arrivals.arrivals",
    "ServiceTime": "qexp.placement.service_time.service_time",
    "FleetSource": "qexp.fleet.fleet",
    "Training": "qexp.algo.training",
    "OnPolicy": "qexp.algo.on_policy",
    "Deployment": "qexp.deploy.deployment",
    "Executor": "qexp.deploy.executors.executor",
    "DecisionProblem": "qexp.problem.problem",
    "Played": "qexp.problem.problem",
    "Metric": "qexp.problem.metric",
    "Policy": "qexp.problem.policy",
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
