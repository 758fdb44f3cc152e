"""Pooling the runs of a sweep: the figures, and what their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from qexp.placement.placement import PLACEMENT
from qexp.report.contenders import Sample, contenders


def runs(name, level, *, count=3, episodes=40, spread=0.0, noise=5.0, section="", seed=0):
    """Runs around ``level`` seconds on the same episodes: mct's times vary, and so do ours with them."""
    rng = np.random.default_rng([seed, 1])
    mct = 100.0 + noise * rng.standard_normal(episodes)
    own = np.random.default_rng([seed, len(name)])
    return [
        Sample(
            section,
            name,
            mct * (level / 100.0 + spread * own.standard_normal()),
            PLACEMENT,
            mct,
            0.8 * mct,
            trained=True,
        )
        for _ in range(count)
    ]


def test_figures_against_independent_computations():
    samples = runs("a2c", 90.0, spread=0.01)
    (row,) = contenders(samples)
    times = np.concatenate([sample.times for sample in samples])
    mct = np.concatenate([sample.reference for sample in samples])
    assert (row.runs, row.episodes, row.trained) == (3, 120, True)
    assert row.mean == pytest.approx(times.mean())
    assert row.iqm.value == pytest.approx(trim_mean(times, 0.25))
    assert row.change.value == pytest.approx(100 * (times.mean() / mct.mean() - 1))
    assert row.gap_closed == pytest.approx((mct.mean() - times.mean()) / (0.2 * mct.mean()))
    assert row.of_runs_pct == pytest.approx(
        [100 * (sample.times.mean() / sample.reference.mean() - 1) for sample in samples]
    )
    assert row.iqm.low < row.iqm.value < row.iqm.high
    assert row.change.low < row.change.value < row.change.high


def test_improvement_counts_ties_half():
    mct = np.array([10.0, 10.0, 10.0, 10.0])
    (row,) = contenders([Sample("", "x", np.array([9.0, 10.0, 11.0, 9.0]), PLACEMENT, mct)])
    assert row.improvement.value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert row.gap_closed is None


def test_mct_against_itself_has_no_spread():
    sample = runs("mct", 100.0, count=1)[0]
    (row,) = contenders([Sample("", "mct", sample.reference, PLACEMENT, sample.reference)])
    assert (row.change.value, row.change.low, row.change.high) == (0.0, 0.0, 0.0)
    assert row.improvement.value == 0.5


def test_an_interval_knows_that_seeds_differ():
    """With seeds that disagree, more episodes do not make the interval small; with equal ones they do."""
    widths = {}
    for spread in (0.0, 0.05):
        (row,) = contenders(runs("a2c", 90.0, spread=spread, episodes=400))
        widths[spread] = row.change.high - row.change.low
    assert widths[0.0] < 1e-9  # each run is a fixed share of mct's time on every episode
    assert widths[0.05] > 1.0


def test_intervals_cover():
    """Of 60 repetitions with a known mean, about 95 % of the intervals of one run's episodes hold it."""
    hits = 0
    for repetition in range(60):
        rng = np.random.default_rng(repetition)
        mct = np.full(60, 100.0)
        (row,) = contenders([Sample("", "x", rng.normal(95.0, 10.0, 60), PLACEMENT, mct)], seed=repetition)
        hits += row.change.low <= -5.0 <= row.change.high
    assert hits >= 51


@given(st.permutations(range(6)))
def test_the_order_of_runs_changes_no_figure(order):
    samples = runs("a2c", 90.0, spread=0.02) + runs("dqn", 95.0, spread=0.02)
    expected = {row.name: (row.mean, row.iqm.value, row.change.value) for row in contenders(samples)}
    shuffled = contenders([samples[k] for k in order])
    assert [row.name for row in shuffled] == ["a2c", "dqn"]
    for row in shuffled:
        assert (row.mean, row.iqm.value, row.change.value) == pytest.approx(expected[row.name])


def test_sections_are_apart_and_sorted_within():
    samples = [
        *runs("b", 90.0, section="small"),
        *runs("a", 95.0, section="large"),
        *runs("a", 80.0, section="small"),
    ]
    rows = contenders(samples)
    assert [(row.section, row.name) for row in rows] == [("small", "a"), ("small", "b"), ("large", "a")]


def test_one_episode_and_no_reference_give_no_interval_and_no_comparison():
    (row,) = contenders([Sample("", "x", np.array([3.0]), PLACEMENT)])
    assert (row.mean, row.iqm.value) == (3.0, 3.0)
    assert row.iqm.low is row.change is row.improvement is row.gap_closed is None


def test_runs_of_different_length_are_refused():
    with pytest.raises(ValueError, match="different numbers of episodes"):
        contenders([Sample("", "x", np.ones(3), PLACEMENT), Sample("", "x", np.ones(4), PLACEMENT)])
