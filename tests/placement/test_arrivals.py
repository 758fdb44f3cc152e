"""Arrival processes: ascending, in their window, from the randomness they are given."""

from __future__ import annotations

import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.placement.arrivals.poisson import Poisson
from qexp.placement.arrivals.qsimpy import QSimPy
from qexp.placement.arrivals.uniform import Uniform

seeds = st.integers(0, 2**32 - 1)


@examples(40)
@given(
    st.sampled_from([Uniform(), Uniform(window=0.0), Poisson(), Poisson(rate=100.0), QSimPy()]),
    seeds,
    st.integers(1, 30),
    st.sampled_from([(), (4,)]),
)
def test_samples_ascend_and_depend_on_the_generator_alone(arrivals, seed, tasks, batch):
    shape = (*batch, tasks)
    times = arrivals.sample(np.random.default_rng(seed), shape)
    assert times.shape == shape
    assert (np.diff(times, axis=-1) >= 0).all()
    assert (times >= 0).all()
    assert np.array_equal(times, arrivals.sample(np.random.default_rng(seed), shape))


def test_uniform_fills_its_window_evenly():
    times = Uniform(window=60.0).sample(np.random.default_rng(0), (4000, 25))
    assert times.min() >= 0
    assert times.max() <= 60
    counts, _ = np.histogram(times, bins=6, range=(0, 60))
    assert counts / times.size == pytest.approx(np.full(6, 1 / 6), abs=0.005)
    # The k-th smallest of n uniform numbers is at k / (n + 1) on average.
    assert times.mean(axis=0) == pytest.approx(60 * np.arange(1, 26) / 26, abs=0.6)


def test_poisson_gaps_are_exponential_with_the_given_rate():
    times = Poisson(rate=0.5).sample(np.random.default_rng(0), (4000, 25))
    gaps = np.diff(times, prepend=0.0)
    assert gaps.mean() == pytest.approx(2.0, rel=0.02)
    assert gaps.std() == pytest.approx(2.0, rel=0.03)
    assert (gaps > 2.0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    # Memoryless: neighbouring gaps have nothing to do with each other.
    assert np.corrcoef(gaps[:, :-1].ravel(), gaps[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_the_default_rate_is_the_papers_25_tasks_a_minute():
    assert Poisson().rate * 60 == pytest.approx(25)


def test_qsimpy_episodes_are_minutes_of_one_stream():
    sizes = [12, 26, 3, 7]
    stream = np.random.default_rng(22)
    expected = [np.sort(stream.uniform(0.1 + 60 * k, 59.9 + 60 * k, n)) for k, n in enumerate(sizes, 1)]
    arrivals = QSimPy()
    # In any order, whatever the run's own randomness is.
    for k in (2, 0, 3, 2, 1):
        times = arrivals.of_episode(np.random.default_rng(k + 77), k, sizes.__getitem__)
        assert np.array_equal(times, expected[k])


def test_qsimpy_serves_several_workloads_at_once():
    arrivals, rng = QSimPy(), np.random.default_rng(0)
    for sizes in ([12, 26, 3], [5, 5, 5], [12, 26, 3]):
        stream = np.random.default_rng(22)
        for k, n in enumerate(sizes):
            expected = np.sort(stream.uniform(60.1 + 60 * k, 119.9 + 60 * k, n))
            got = arrivals.of_episode(rng, k, sizes.__getitem__)
            np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_qsimpy_streams_differ_by_seed():
    one, other = (
        QSimPy(stream_seed=s).of_episode(np.random.default_rng(0), 0, lambda _: 5) for s in (22, 23)
    )
    assert not np.array_equal(one, other)


def test_qsimpy_trains_on_the_same_distribution_from_the_runs_randomness():
    times = QSimPy().sample(np.random.default_rng(0), (4000, 5))
    assert times.min() >= 60.1
    assert times.max() <= 119.9
    assert times.mean() == pytest.approx(90, abs=0.3)


@pytest.mark.parametrize("arrivals", [Uniform(), Poisson()])
def test_other_episodes_take_their_own_randomness(arrivals):
    times = arrivals.of_episode(np.random.default_rng(3), 9, lambda k: k + 1)
    assert np.array_equal(times, arrivals.sample(np.random.default_rng(3), (10,)))
