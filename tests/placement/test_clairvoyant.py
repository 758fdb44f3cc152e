"""The clairvoyant where mct goes wrong, on long episodes, and on machines that are busy at first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qexp.placement.schedulers.clairvoyant import Clairvoyant, plan
from qexp.placement.schedulers.mct import MCT
from qexp.stages.evaluation import evaluate


def test_keeps_the_only_machine_of_a_later_task_free():
    # The first task would end at 10 on node 0, at 11 on node 1. Mct takes node 0, which the second task,
    # from t = 1, must wait for: 10 + (9 + 5). The other way is 11 + 5.
    nodes = plan(np.array([0.0, 1.0]), np.array([[10.0, 11.0], [5.0, np.inf]]), np.zeros(2), 24, 300)
    assert nodes.tolist() == [1, 0]
    # With node 1 busy until t = 20 it is better to wait.
    nodes = plan(
        np.array([0.0, 1.0]), np.array([[10.0, 11.0], [5.0, np.inf]]), np.array([0.0, 20.0]), 24, 300
    )
    assert nodes.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("changes", "scheduler", "episodes", "better"),
    [
        ({}, Clairvoyant(), 30, 25),
        ({"initial_backlog": 20.0}, Clairvoyant(), 30, 25),
        # Longer than what it looks ahead.
        ({"tasks": 60}, Clairvoyant(beam=8, horizon=10), 6, 3),
        ({"tasks": 60}, Clairvoyant(beam=8, horizon=0), 6, 0),
    ],
)
def test_never_worse_than_mct(qce25, changes, scheduler, episodes, better):
    schedulers = {"mct": MCT(), "clairvoyant": scheduler}
    rows = evaluate(replace(qce25, **changes), schedulers, episodes=episodes, seed=1).episodes
    times = rows.pivot_table(index="episode", columns="scheduler", values="total_completion_time")
    assert (times["clairvoyant"] <= times["mct"] * (1 + 1e-12)).all()
    assert (times["clairvoyant"] < times["mct"]).sum() >= better
    assert (rows["reschedules"] == 0).all()
