"""One bundle places tasks on any fleet: of another generation, of another size, made up."""

from __future__ import annotations

import pytest

from qexp.fleet.fleet import load_fleet
from qexp.fleet.synthetic import Synthetic
from qexp.placement.placement import Placement
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.random import Random
from qexp.problem.bundle import save_policy
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.stages.evaluation import evaluate


@pytest.fixture(scope="module")
def bundle(make_weights, metadata, tmp_path_factory):
    """A network that has learned nothing but its prior, minimum completion time, and a little noise."""
    weights = {
        name: array * 0.01 if name.startswith("score_out") else array
        for name, array in make_weights().items()
    }
    return save_policy(tmp_path_factory.mktemp("bundle") / "policy", weights, metadata)


@pytest.mark.parametrize(
    "fleet",
    [load_fleet("qce5"), load_fleet("ibm13"), load_fleet("heron"), Synthetic().load()],
    ids=lambda fleet: fleet.name,
)
def test_a_bundle_places_on_any_fleet_and_keeps_its_sense(fleet, bundle):
    scenario = Placement(fleet, tasks=60)
    schedulers = {"policy": PolicyScheduler(path=str(bundle)), "mct": MCT(), "random": Random()}
    measured = evaluate(scenario, schedulers, episodes=2, seed=0).episodes
    total = measured.groupby("scheduler")["total_completion_time"].mean()
    assert total["policy"] < 1.3 * total["mct"]
    assert total["policy"] < 0.8 * total["random"]
    assert measured["reschedules"].sum() == 0
