"""Each scheduler's rule on states small enough to check by eye, and what all of them must hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.config.composition import register
from qexp.config.option import REGISTRY
from qexp.errors import InputError
from qexp.placement.engine import SimulatedCloud
from qexp.placement.episode import Rules
from qexp.placement.policy import PlacementPolicy
from qexp.placement.schedulers.clairvoyant import Clairvoyant
from qexp.placement.schedulers.fidelity import Fidelity
from qexp.placement.schedulers.greedy import Greedy
from qexp.placement.schedulers.greedy_error import GreedyError
from qexp.placement.schedulers.least_busy import LeastBusy
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.met import MET
from qexp.placement.schedulers.placer import RankingScheduler
from qexp.placement.schedulers.random import Random
from qexp.placement.schedulers.round_robin import RoundRobin
from qexp.placement.schedulers.weighted import Weighted
from qexp.problem.bundle import save_policy
from qexp.problem.policy_scheduler import A2CPolicyScheduler, DQNPolicyScheduler, PolicyScheduler
from qexp.problem.scheduler import schedulers_of
from qexp.stages.evaluation import evaluate

register()
INF = np.inf
HEURISTICS = sorted(schedulers_of("placement"))
RANKING = [name for name in HEURISTICS if issubclass(REGISTRY["scheduler"][name], RankingScheduler)]


def started(scheduler, episode, seed=0):
    scheduler.start(episode, np.random.default_rng(seed))
    return scheduler


def play(scheduler, fleet, episode, **rules):
    """Return the finished cloud."""
    cloud = SimulatedCloud(fleet, episode, Rules(**rules))
    started(scheduler, episode)
    while cloud.waiting is not None:
        if cloud.place(scheduler.select(cloud.task_state(), cloud.node_state())).gave_up:
            break
    cloud.finish()
    return cloud


def total(cloud, episode):
    """Total completion time of an episode in which nothing was refused."""
    return sum(task.finish - episode.arrival[task.index] for task in cloud.tasks)


# Node 0 is free soonest but slow, 1 finishes first, 2 is fastest but busy, 3 is too small.
STATE = {
    "service": [9, 4, 2, INF],
    "free_at": [10, 12, 20, -1],
    "now": 11.0,
    "esp": [0.2, 0.5, 0.9, 0.99],
    "pending": [2, 1, 3, 0],
    "readout": [0.03, 0.02, 0.01, 0.001],
}


@pytest.mark.parametrize(
    ("scheduler", "node"),
    [
        (Greedy(), 0),
        (GreedyError(), 0),
        (LeastBusy(), 1),
        (MCT(), 1),
        (MET(), 2),
        (Fidelity(), 2),
        (Weighted(fidelity_weight=0.0), 1),
        (Weighted(fidelity_weight=1.0), 2),
    ],
)
def test_the_rule_of_each_scheduler(make_state, scheduler, node):
    assert scheduler.select(*make_state(**STATE)) == node


@pytest.mark.parametrize(
    ("scheduler", "node"),
    [(Greedy(), 3), (GreedyError(), 3), (LeastBusy(), 3), (MCT(), 1), (MET(), 2), (Fidelity(), 2)],
)
def test_unmasked_schedulers_follow_their_rule_into_a_refusal(make_state, scheduler, node):
    assert scheduler.select(*make_state(**STATE, mask=[True] * 4)) == node


@pytest.mark.parametrize("name", RANKING)
def test_ties_go_to_the_first_node_that_is_allowed(make_state, name):
    scheduler = REGISTRY["scheduler"][name]()
    assert scheduler.select(*make_state([5] * 4, [7] * 4)) == 0
    assert scheduler.select(*make_state([5] * 4, [7] * 4, mask=[False, False, True, True])) == 2
    assert scheduler.select(*make_state([INF, 5, INF, 5], [-1, 7, -1, 7])) == 1


def test_greedy_error_breaks_ties_by_readout_error_only(make_state):
    assert GreedyError().select(*make_state([5] * 3, [7, 7, 8], readout=[0.03, 0.02, 0.01])) == 1
    # All idle, but a node that never worked comes before one that did.
    assert GreedyError().select(*make_state([5] * 3, [3, -1, -1], now=9.0, readout=[0.1, 0.3, 0.2])) == 2


def test_weighted_trades_time_for_fidelity(make_state):
    # Node 1 takes twice as long, and is twice as likely to be right. With weight w: (1 - w) + w / 2 against
    # 2 (1 - w), equal at w = 2 / 3.
    state = make_state([10, 20], [-1, -1], esp=[0.4, 0.8])
    assert [Weighted(fidelity_weight=w).select(*state) for w in (0.0, 0.6, 0.7, 1.0)] == [0, 0, 1, 1]


def test_weighted_knows_no_fidelity_where_none_is_left(make_state):
    assert Weighted(fidelity_weight=0.5).select(*make_state([20, 10, INF], esp=[0.0, 0.0, 0.0])) == 1


def test_round_robin_takes_turns(make_state, make_episode):
    scheduler = started(RoundRobin(), make_episode([0], [[1] * 4]))
    free, wide = make_state([1] * 4), make_state([1, INF, INF, 1])
    assert [scheduler.select(*free) for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    assert [scheduler.select(*wide) for _ in range(3)] == [3, 0, 3]
    assert scheduler.select(*free) == 0
    scheduler.select(*free)
    started(scheduler, make_episode([0], [[1] * 4]))
    assert scheduler.select(*free) == 0


def test_random_is_uniform_over_what_is_allowed_and_seeded(make_state, make_episode):
    episode, state = make_episode([0], [[1] * 4]), make_state([1, INF, 1, 1])
    scheduler = started(Random(), episode, seed=1)
    chosen = [scheduler.select(*state) for _ in range(3000)]
    assert np.bincount(chosen, minlength=4)[[0, 2, 3]] == pytest.approx([1000] * 3, rel=0.1)
    assert 1 not in chosen
    again, other = started(Random(), episode, seed=1), started(Random(), episode, seed=2)
    assert [again.select(*state) for _ in range(3000)] == chosen
    assert [other.select(*state) for _ in range(3000)] != chosen


@pytest.mark.parametrize("name", RANKING)
def test_refusals_move_a_ranking_scheduler_on(make_state, name):
    scheduler = REGISTRY["scheduler"][name]()
    state = {"service": [5, 6, 7, 8], "free_at": [1, 2, 3, 4], "mask": [True] * 4}
    tried = [scheduler.select(*make_state(**state, refusals=r)) for r in range(9)]
    assert sorted(tried[:4]) == [0, 1, 2, 3]
    assert tried[4:8] == tried[:4]
    assert tried[8] == tried[0]


@examples(60)
@given(data=st.data())
def test_unmasked_schedulers_place_everything_in_the_end(make_fleet, make_episode, data):
    name = data.draw(st.sampled_from([n for n in HEURISTICS if n != "random"]))
    n, tasks = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 5))
    # As on real fleets, the largest machine runs everything.
    fits = [[n - 1, *data.draw(st.lists(st.integers(0, n - 2), max_size=n))] for _ in range(tasks)]
    table = [[float(1 + j) if j in where else INF for j in range(n)] for where in fits]
    arrival = sorted(
        data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=tasks, max_size=tasks))
    )
    cloud = play(REGISTRY["scheduler"][name](), make_fleet([5] * n), make_episode(arrival, table), mask=False)
    for task in cloud.tasks:
        assert task.node in fits[task.index], name
        assert task.reschedules <= n * tasks


@pytest.mark.parametrize("name", HEURISTICS)
def test_masked_schedulers_are_never_refused(name, qce25):
    for k in range(3):
        cloud = play(REGISTRY["scheduler"][name](), qce25.fleet, qce25.episode(1, k))
        assert all(task.reschedules == 0 and task.node >= 0 for task in cloud.tasks)


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_used_scheduler_plays_as_a_new_one(name, qce25):
    cls, episode = REGISTRY["scheduler"][name], qce25.episode(2, 0)
    used = cls()
    play(used, qce25.fleet, qce25.episode(2, 1))
    nodes = [[task.node for task in play(s, qce25.fleet, episode).tasks] for s in (used, cls())]
    assert nodes[0] == nodes[1]


problems = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32 - 1))


@examples(40)
@given(problem=problems, backlog=st.sampled_from([0.0, 4.0]))
def test_the_clairvoyant_is_optimal_where_its_beam_holds_everything(
    make_fleet, make_episode, problem, backlog
):
    tasks, n, seed = problem
    rng = np.random.default_rng(seed)
    service = np.where(rng.random((tasks, n)) < 0.25, INF, rng.integers(1, 40, (tasks, n)) / 4)
    service[:, -1] = rng.integers(1, 40, tasks) / 4
    episode = make_episode(np.sort(rng.integers(0, 20, tasks) / 4), service)
    best = INF
    for nodes in product(range(n), repeat=tasks):
        free, cost = [backlog] * n, 0.0
        for i, node in enumerate(nodes):
            free[node] = max(free[node], episode.arrival[i]) + service[i, node]
            cost += free[node] - episode.arrival[i]
        best = min(best, cost)
    scheduler = Clairvoyant(beam=3**6)
    cloud = play(scheduler, make_fleet([5] * n), episode, initial_backlog=backlog)
    assert total(cloud, episode) == pytest.approx(best)


@pytest.mark.slow
def test_the_clairvoyant_is_never_worse_than_mct(qce25):
    schedulers = {"mct": MCT(), "narrow": Clairvoyant(beam=1), "short": Clairvoyant(beam=3, horizon=4)}
    totals = evaluate(qce25, schedulers, episodes=50, seed=3).episodes.pivot_table(
        index="episode", columns="scheduler", values="total_completion_time"
    )
    for name in ("narrow", "short"):
        assert (totals[name] <= totals["mct"] + 1e-6).all(), name
        assert totals[name].mean() < totals["mct"].mean()


def test_a_wider_beam_finds_better_plans(qce25):
    means = []
    for beam in (1, 8, 48):
        rows = evaluate(qce25, {"c": Clairvoyant(beam=beam)}, episodes=8, seed=0).episodes
        means.append(rows["total_completion_time"].mean())
    assert all(wide <= narrow for narrow, wide in pairwise(means))
    assert means[-1] < means[0]


@pytest.fixture
def bundle(tmp_path):
    """A bundle of zeros whose scores are the prior: minus the log of finish over the best finish."""
    from qexp.problem.network import ScorerNetwork

    architecture = PlacementPolicy.architecture(hidden=4)
    weights = {k: v.numpy() for k, v in ScorerNetwork(architecture).state_dict().items()}
    return save_policy(
        tmp_path / "policy", weights, {"algorithm": "a2c", "architecture": architecture.as_dict()}
    )


def test_a_policy_is_a_scheduler(bundle, make_state, qce25):
    scheduler = PolicyScheduler(path=str(bundle))
    assert scheduler.select(*make_state(**STATE)) == MCT().select(*make_state(**STATE))
    # It never chooses what does not fit, also where it may.
    assert scheduler.select(*make_state([9, INF], [20, -1], mask=[True, True])) == 0
    cloud = play(scheduler, qce25.fleet, qce25.episode(0, 0), mask=False)
    assert all(task.reschedules == 0 for task in cloud.tasks)


def test_policy_schedulers_know_their_algorithm(bundle):
    assert A2CPolicyScheduler(path=str(bundle)).policy.algorithm == "a2c"
    with pytest.raises(InputError, match="trained with a2c, not dqn"):
        DQNPolicyScheduler(path=str(bundle))


def test_a_policy_without_a_path_says_what_it_needs(make_state):
    with pytest.raises(InputError, match=r"scheduler\.path"):
        PolicyScheduler().select(*make_state([1, 2]))


@pytest.mark.parametrize("name", HEURISTICS)
def test_initial_backlog_is_seen_by_all(name, qce25):
    scenario = replace(qce25, initial_backlog=30.0)
    log = evaluate(scenario, {name: REGISTRY["scheduler"][name]()}, episodes=1, seed=0).tasks
    first = log.iloc[0]
    assert first["start"] == pytest.approx(30.0)
