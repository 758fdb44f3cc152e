"""Every ranking heuristic against its rule in plain Python, on random states with many ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.placement.schedulers.fidelity import Fidelity
from qexp.placement.schedulers.greedy import Greedy
from qexp.placement.schedulers.greedy_error import GreedyError
from qexp.placement.schedulers.least_busy import LeastBusy
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.met import MET
from qexp.placement.schedulers.random import Random
from qexp.placement.schedulers.round_robin import RoundRobin
from qexp.placement.schedulers.weighted import Weighted
from qexp.stages.evaluation import evaluate

INF = np.inf
# What a rule makes smallest, of task, nodes and the node's index.
RULES = {
    Greedy: lambda task, nodes, i: nodes.free_at[i],
    GreedyError: lambda task, nodes, i: (nodes.free_at[i], nodes.readout_error[i]),
    LeastBusy: lambda task, nodes, i: nodes.pending[i],
    MCT: lambda task, nodes, i: max(nodes.free_at[i] - task.now, 0.0) + task.service[i],
    MET: lambda task, nodes, i: task.service[i],
    Fidelity: lambda task, nodes, i: -task.esp[i],
}
quarters = st.integers(0, 40).map(lambda x: x / 4)


@st.composite
def states(draw: st.DrawFn) -> dict[str, object]:
    """What `make_state` takes; quarters and few values make ties likely."""
    n = draw(st.integers(1, 6))

    def each(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=n, max_size=n))

    service = each(st.one_of(quarters.map(lambda x: x + 0.25), st.just(INF)))
    service[draw(st.integers(0, n - 1))] = 1.0  # a task nobody can run never gets this far
    return {
        "service": service,
        "free_at": each(st.one_of(st.just(-1.0), quarters)),
        "now": draw(quarters),
        "esp": each(st.sampled_from([0.0, 0.25, 0.5, 0.9])),
        "pending": each(st.integers(0, 3)),
        "readout": each(st.sampled_from([-0.3, 0.01, 0.02])),
    }


@examples(100)
@given(states())
def test_the_best_allowed_node_is_chosen(make_state, state):
    task, nodes = make_state(**state)
    allowed = np.flatnonzero(task.mask).tolist()
    for cls, rule in RULES.items():
        assert cls().select(task, nodes) == min(allowed, key=lambda i: rule(task, nodes, i)), cls
    assert Weighted(fidelity_weight=0.0).select(task, nodes) == MCT().select(task, nodes)
    if task.esp.any():
        assert Weighted(fidelity_weight=1.0).select(task, nodes) == Fidelity().select(task, nodes)


@examples(50)
@given(states())
def test_refusals_walk_down_the_ranking_and_around(make_state, state):
    n = len(state["service"])
    for cls, rule in {**RULES, Weighted: None}.items():
        tried = []
        for refusals in range(2 * n):
            task, nodes = make_state(**state, mask=[True] * n, refusals=refusals)
            tried.append(cls().select(task, nodes))
        assert sorted(tried[:n]) == list(range(n)), cls
        assert tried[n:] == tried[:n], cls
        if rule is not None:
            assert tried[:n] == sorted(range(n), key=lambda i: rule(task, nodes, i)), cls


@pytest.mark.parametrize("cls", [*RULES, Weighted, Random, RoundRobin])
def test_a_node_that_fits_but_is_forbidden_is_not_chosen_even_if_it_is_best(cls, make_state, make_episode):
    scheduler = cls()
    scheduler.start(make_episode([0.0], [[1.0] * 4]), np.random.default_rng(0))
    # What a machine closed for maintenance looks like.
    state = make_state(
        [1.0, 5.0, 1.0, 5.0],
        [0.0, 9.0, 0.0, 9.0],
        esp=[0.9, 0.1, 0.9, 0.1],
        pending=[0, 5, 0, 5],
        readout=[0.01, 0.02, 0.01, 0.02],
        mask=[False, True, False, True],
    )
    assert {scheduler.select(*state) for _ in range(8)} <= {1, 3}


def test_without_the_mask_only_those_that_look_at_the_circuit_are_never_refused(qce25):
    seeing = {"mct": MCT(), "met": MET(), "fidelity": Fidelity(), "weighted": Weighted()}
    blind = {"greedy": Greedy(), "greedy_error": GreedyError(), "least_busy": LeastBusy()}
    blind |= {"random": Random(), "round_robin": RoundRobin()}
    rows = evaluate(replace(qce25, mask=False), seeing | blind, episodes=5, seed=3).episodes
    refused = rows.groupby("scheduler")["reschedules"].sum()
    assert (refused[list(seeing)] == 0).all()
    assert (refused[list(blind)] > 0).all()
