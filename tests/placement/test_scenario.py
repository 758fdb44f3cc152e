"""Episodes: what (seed, k) gives, whoever asks and in whichever order, and what training may see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.placement.arrivals.poisson import Poisson
from qexp.placement.arrivals.qsimpy import QSimPy
from qexp.placement.placement import Placement
from qexp.placement.service_time.repetition_delay import RepetitionDelay
from qexp.placement.workload.catalogue import QCE
from qexp.placement.workload.csv_file import CSV

SIZES = (3, 1, 6, 4, 2)


def assert_same(one, other):
    assert one.names == other.names
    for name in ("arrival", "width", "depth", "service", "esp"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, write_dataset):
    """Five subsets of different lengths; the depth tells subset and row: 100 s + r."""
    rows = [
        (s, f"s{s}r{r}", 2 + r, {7: 100 * (s + 1) + r, 27: 50})
        for s, size in enumerate(SIZES)
        for r in range(size)
    ]
    return write_dataset(tmp_path_factory.mktemp("data") / "tasks.csv", rows)


@pytest.fixture
def subsets(dataset, make_fleet):
    return Placement(make_fleet([7, 27]), workload=CSV(path=str(dataset)), tasks=4)


def test_episodes_depend_on_seed_and_number_not_on_who_asked_before(qce25):
    asked = {k: qce25.episode(3, k) for k in range(4)}
    for k in (3, 1, 2, 0, 3):
        qce25.draw(np.random.default_rng(0), 5)
        qce25.episode(99, k)
        assert_same(qce25.episode(3, k), asked[k])
    other = Placement(qce25.fleet)
    assert_same(other.episode(3, 2), asked[2])


def test_seeds_and_numbers_give_different_episodes(qce25):
    arrivals = [tuple(qce25.episode(seed, k).arrival) for seed in (0, 1, 2) for k in range(5)]
    assert len(set(arrivals)) == len(arrivals)


def test_the_reward_and_the_rules_do_not_change_the_episodes(qce25):
    other = replace(qce25, mask=False, rescheduling_delay=5.0, observation="flat", initial_backlog=9.0)
    assert_same(other.episode(0, 0), qce25.episode(0, 0))


def test_an_episode_is_made_of_the_workloads_tables(qce25):
    episode, circuits = qce25.episode(0, 0), qce25.circuits
    assert len(episode) == 25
    assert episode.shots == 1024
    assert (np.diff(episode.arrival) >= 0).all()
    for i, name in enumerate(episode.names):
        c = circuits.names.index(name)
        assert (episode.width[i], episode.depth[i]) == (circuits.width[c], circuits.depth[c])
        # The papers' service time: shots * depth / (CLOPS * 19.95), and never where it does not fit.
        for n, node in enumerate(qce25.fleet.nodes):
            if episode.width[i] > node.qubits:
                assert episode.service[i, n] == np.inf
                assert episode.esp[i, n] == 0
            else:
                expected = 1024 * circuits.compiled_depth[c, n] / (node.clops * 19.95)
                assert episode.service[i, n] == pytest.approx(expected, rel=1e-12)


def test_circuits_are_drawn_uniformly(qce25):
    scenario = replace(qce25, workload=QCE(families=["ghz"], max_width=6))
    rows = scenario.draw(np.random.default_rng(0), 2000).rows
    assert np.bincount(rows.ravel(), minlength=5) / rows.size == pytest.approx(np.full(5, 0.2), abs=0.01)
    drawn = [name for k in range(400) for name in scenario.episode(0, k).names]
    counts = np.array([drawn.count(name) for name in scenario.circuits.names])
    assert counts / counts.sum() == pytest.approx(np.full(5, 0.2), abs=0.02)


def test_arrivals_and_service_time_are_the_configured_ones(qce25):
    scenario = replace(qce25, arrivals=Poisson(rate=1000.0), service_time=RepetitionDelay(overhead=100.0))
    episode = scenario.episode(0, 0)
    assert episode.arrival.max() < 1
    finite = episode.service[np.isfinite(episode.service)]
    assert finite.min() > 100
    assert finite.max() < 102


def test_evaluation_episodes_are_none_that_training_draws(qce25):
    # Training with the same seed, as a learner would.
    batch = qce25.draw(np.random.default_rng(0), 500)
    evaluated = {qce25.episode(0, k).arrival[0] for k in range(100)}
    assert not evaluated & set(batch.arrival[:, 0])


def test_subsets_come_in_file_order_and_the_first_tasks_only(subsets):
    assert subsets.fixed_episodes == 5
    for k, size in enumerate(SIZES):
        episode = subsets.episode(0, k)
        assert episode.names == [f"s{k}r{r}_{2 + r}" for r in range(min(size, 4))]
        assert len(episode.arrival) == len(episode.service) == min(size, 4)
    assert subsets.longest == 4
    assert replace(subsets, tasks=50).longest == 6


def test_subsets_do_not_depend_on_the_seed_but_their_arrivals_do(subsets):
    one, other = subsets.episode(0, 2), subsets.episode(1, 2)
    assert one.names == other.names
    assert not np.array_equal(one.arrival, other.arrival)


def test_the_references_arrivals_are_drawn_for_every_row_of_a_subset(subsets):
    scenario = replace(subsets, arrivals=QSimPy(), tasks=2)
    stream = np.random.default_rng(22)
    expected = [np.sort(stream.uniform(0.1 + 60 * k, 59.9 + 60 * k, size)) for k, size in enumerate(SIZES, 1)]
    for k in (4, 0, 2, 1, 3):
        assert np.array_equal(scenario.episode(5, k).arrival, expected[k][:2])


def test_held_out_subsets_are_never_trained_on(subsets):
    scenario = replace(subsets, held_out=3, tasks=10)
    batch = scenario.draw(np.random.default_rng(0), 300)
    rows = set(batch.rows[np.isfinite(batch.arrival)])
    assert rows == {row for subset in scenario.circuits.subsets[3:] for row in subset}
    assert batch.rows.shape == batch.arrival.shape == (300, 6)


def test_short_episodes_are_padded_with_tasks_that_never_arrive(subsets):
    batch = replace(subsets, tasks=10).draw(np.random.default_rng(0), 300)
    lengths = np.isfinite(batch.arrival).sum(axis=1)
    assert set(lengths) == set(SIZES)
    for rows, arrival, length in zip(batch.rows, batch.arrival, lengths, strict=True):
        assert np.isfinite(arrival[:length]).all()
        assert (np.diff(arrival[:length]) >= 0).all()
        assert rows[:length].tolist() == [*range(rows[0], rows[0] + length)]
    assert np.bincount(lengths)[list(SIZES)] / 300 == pytest.approx(np.full(5, 0.2), abs=0.07)


def test_impossible_comparisons_and_trainings_are_refused(subsets, qce25):
    subsets.check_evaluation(5)
    with pytest.raises(InputError, match=r"eval\.episodes=6: .*only 5 subsets"):
        subsets.check_evaluation(6)
    replace(subsets, held_out=4).check_training()
    with pytest.raises(InputError, match=r"eval\.episodes=5 takes all 5 subsets"):
        replace(subsets, held_out=5).check_training()
    qce25.check_evaluation(10**6)
    replace(qce25, held_out=10**6).check_training()


def test_unknown_observations_are_refused(qce25):
    with pytest.raises(InputError, match=r"env\.observation: .*'pixels'"):
        replace(qce25, observation="pixels")
