"""How long a campaign takes to decide, live features included; simulated machines, so no network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Effort, Figure
from benchmarks.policy import bundle
from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.simulator import Simulator
from qexp.fleet.synthetic import Synthetic
from qexp.placement.placement import Placement
from qexp.placement.schedulers.mct import MCT
from qexp.problem.policy_scheduler import PolicyScheduler

MACHINES = 20
TASKS = 100  # in a minute, so that queues are as long as those of five machines with 25


def measure(effort: Effort) -> list[Figure]:
    """Measure the decisions of whole campaigns, from the machines' states to the chosen one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        schedulers = {"mct": MCT(), "policy": PolicyScheduler(path=str(bundle(folder / "policy")))}
        deployment = Simulator(tasks=TASKS, block=TASKS, schedulers=list(schedulers))
        scenario = Placement(Synthetic(machines=MACHINES).load())
        plan = segments(scenario, deployment, deployment.schedulers)
        medians: dict[str, list[float]] = {name: [] for name in schedulers}
        slowest: dict[str, list[float]] = {name: [] for name in schedulers}
        for repetition in range(effort.repetitions):
            path = folder / f"{repetition}.db"
            tasks = planned_tasks(plan, deployment)
            with Journal.create(path, tasks, {"campaign": "benchmark"}) as journal:
                executor = deployment.executor(scenario)
                campaign = Campaign(journal, scenario, plan, schedulers, executor, deployment)
                campaign.run()
            for scheduler in schedulers:
                mine = [task for task in campaign.tasks if task.scheduler == scheduler]
                seconds = 1e3 * np.array([task.decision_seconds for task in mine])
                medians[scheduler].append(float(np.median(seconds)))
                slowest[scheduler].append(float(np.quantile(seconds, 0.99)))
    return [
        Figure(
            f"{what} of a decision by {name}, {MACHINES} machines",
            "ms",
            values[name],
            5.0,
            lower_is_better=True,
        )
        for name in schedulers
        for what, values in (("median", medians), ("99 %", slowest))
    ]
