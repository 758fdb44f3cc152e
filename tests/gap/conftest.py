"""Schedulers and a made-up campaign for the gap report's tests."""

from __future__ import annotations

import pytest
from campaigns import campaign, noisy_counts, toy_fidelity

from qexp.deploy.campaign.journal import State
from qexp.gap.gap import measure
from qexp.placement.schedulers.greedy import Greedy
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.met import MET
from qexp.placement.schedulers.random import Random


@pytest.fixture(scope="session")
def schedulers():
    """Three schedulers, one of them random."""
    return {"mct": MCT(), "greedy": Greedy(), "random": Random()}


@pytest.fixture(scope="session")
def rough(qce25, schedulers, tmp_path_factory):
    """The gap of a campaign in which everything is somewhat off, and some things are missing."""

    def then(task, rng):
        noisy_counts(task, rng)
        luck = rng.random()
        if luck < 0.03:
            task.state, task.error = State.FAILED, "broken"
        elif luck < 0.05:
            task.state, task.finished = State.CANCELLED, None
        elif luck < 0.08:
            task.running = None
        elif luck < 0.2:
            task.counts = None

    slow = {"washington": 1.0, "kolkata": 1.4, "hanoi": 0.8, "perth": 2.0, "lagos": 1.2}
    with campaign(
        tmp_path_factory.mktemp("rough") / "journal.db",
        qce25,
        schedulers,
        blocks=4,
        truth=lambda task, rng: (1 + slow[task.node] * task.predicted_service) * rng.lognormal(0, 0.1),
        delay=lambda _, rng: rng.exponential(0.5),
        foreign=lambda _, rng: rng.exponential(3.0) if rng.random() < 0.3 else 0.0,
        then=then,
    ) as journal:
        return measure(journal, qce25, schedulers | {"met": MET()}, toy_fidelity)
