"""A campaign on simulated machines is the simulation: the same decisions at the same times."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from qexp.config.option import REGISTRY, load_options
from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.simulator import Simulator
from qexp.errors import InputError
from qexp.placement.placement import Placement, TaskRow
from qexp.problem.scheduler import Scheduler

load_options()
NAMES = ["mct", "greedy", "least_busy", "met", "fidelity", "weighted", "round_robin", "random"]


def campaign(scenario: Placement, deployment: Simulator, names: list[str], folder: Path) -> Campaign:
    plan = segments(scenario, deployment, names)
    journal = Journal.create(
        folder / "journal.db", planned_tasks(plan, deployment), {"campaign": "qexp-test"}
    )
    executor = deployment.executor(scenario)
    executor.start(0.0)
    schedulers = {name: REGISTRY["scheduler"][name]() for name in names}
    return Campaign(journal, scenario, plan, schedulers, executor, deployment)


@pytest.mark.parametrize("name", NAMES)
def test_a_simulated_campaign_equals_the_evaluation(name: str, qce25: Placement, tmp_path: Path):
    it = campaign(qce25, Simulator(tasks=25, seed=3), [name], tmp_path)
    it.run()
    scheduler = REGISTRY["scheduler"][name]()
    rng = np.random.default_rng([3, 0, zlib.crc32(name.encode())])
    rows = qce25.play(scheduler, qce25.episode(3, 0), rng).tasks
    columns = dict(zip(TaskRow._fields, zip(*rows, strict=True), strict=True))
    tasks = it.tasks
    assert all(task.state is State.DONE for task in tasks)
    began = it.journal.segments()[0][0]
    assert [task.node for task in tasks] == list(columns["node"])
    assert np.allclose([task.running - began for task in tasks], columns["start"])
    assert np.allclose([task.finished - began for task in tasks], columns["finish"])
    assert np.allclose([task.running - task.created for task in tasks], columns["wait"])
    assert np.allclose([task.predicted_wait for task in tasks], columns["wait"])


def test_blocks_go_to_every_scheduler_with_the_same_tasks(qce25: Placement, tmp_path: Path):
    deployment = Simulator(tasks=23, block=10, schedulers=["mct", "greedy", "met"])
    it = campaign(qce25, deployment, deployment.schedulers, tmp_path)
    it.run()
    seen = {}
    for task in it.tasks:
        seen.setdefault((task.block, task.scheduler), []).append((task.position, task.circuit, task.offset))
    assert len(seen) == 9
    for block in range(3):
        assert seen[block, "mct"] == seen[block, "greedy"] == seen[block, "met"]
    orders = {tuple(s.scheduler for s in it.plan[i : i + 3]) for i in range(0, 9, 3)}
    assert len(orders) > 1
    ends = it.journal.segments()
    for number in range(1, 9):
        assert ends[number][0] >= ends[number - 1][1]
        assert all(task.arrival >= ends[number - 1][1] for task in it.tasks if task.segment == number)
    assert {task.position for task in it.tasks} == set(range(23))


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: -1, r"^scheduler: Wrong answered -1 for task \d+: .* between 0 and 4$"),
        (lambda _: None, r"^scheduler: Wrong answered None for task \d+: .* between 0 and 4$"),
        (lambda task: int(task.mask.argmin()), r"^scheduler: Wrong chose machine .* ignores task.mask$"),
    ],
)
def test_an_answer_that_cannot_be_sends_no_job(qce25, tmp_path, answer, said, shadow):
    class Wrong(Scheduler):
        def select(self, task, nodes):
            return int(task.mask.argmax()) if task.mask.all() else answer(task)

    names = ["mct", "met"] if shadow else ["mct"]
    it = campaign(qce25, Simulator(tasks=25, schedulers=names, shadow=shadow), names, tmp_path)
    it.schedulers["met" if shadow else "mct"] = Wrong()
    with pytest.raises(InputError, match=said) as refused:
        it.run()
    task = int(str(refused.value).split("task ")[1].split(":")[0].split(",")[0])
    assert it.tasks[task].state is State.PLANNED
    assert it.tasks[task].node is None
