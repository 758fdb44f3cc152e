import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qexp.report.statistics import bootstrap_means, interval, iqm, percent_changes, win_rate

times = arrays(np.float64, st.integers(2, 30), elements=st.floats(1.0, 1e4))


def test_iqm_cuts_a_quarter_at_each_end():
    # Eight values: 1 and 2 are cut, and 60 and 700; (3 + 4 + 5 + 9) / 4 remains.
    assert iqm([700, 3, 1, 9, 4, 60, 2, 5]) == 5.25
    # Five values: 5 // 4 = 1 is cut at each end.
    assert iqm([10, 1, 2, 3, 1000]) == 5.0
    assert iqm([7]) == 7.0


@given(times)
def test_an_interval_lies_within_the_values(values):
    low, high = interval(bootstrap_means(values[:, None], seed=1, resamples=200))
    slack = 1e-9 * values.max()
    assert values.min() - slack <= low[0] <= high[0] <= values.max() + slack


@given(times, st.floats(-100.0, 100.0), st.floats(0.01, 100.0))
def test_an_interval_moves_and_scales_with_the_values(values, shift, scale):
    columns = np.column_stack([values, scale * values + shift])
    low, high = interval(bootstrap_means(columns, seed=1, resamples=200))
    assert low[1] == pytest.approx(scale * low[0] + shift, rel=1e-9, abs=1e-6)
    assert high[1] == pytest.approx(scale * high[0] + shift, rel=1e-9, abs=1e-6)


def test_an_interval_agrees_with_the_normal_approximation_and_covers_the_mean():
    rng = np.random.default_rng(0)
    samples = rng.normal(100.0, 10.0, (60, 400))  # 400 experiments of 60 episodes
    low, high = interval(bootstrap_means(samples, seed=0, resamples=1000))
    assert np.mean(high - low) == pytest.approx(2 * 1.96 * 10.0 / np.sqrt(60), rel=0.05)
    assert 0.91 <= np.mean((low <= 100.0) & (high >= 100.0)) <= 0.98


def test_resampling_depends_on_the_seed_alone_however_it_is_cut_into_blocks(monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 3))
    whole = bootstrap_means(values, seed=4, resamples=300)
    assert whole.shape == (300, 3)
    assert (whole == bootstrap_means(values, seed=4, resamples=300)).all()
    assert (whole != bootstrap_means(values, seed=5, resamples=300)).any()
    monkeypatch.setattr("qexp.report.statistics._BLOCK", 50 * 7)
    assert bootstrap_means(values, seed=4, resamples=300) == pytest.approx(whole, abs=1e-12)


def test_percent_changes_by_hand():
    # Means 90 and 150 against 100.
    changes = percent_changes([[85.0, 140.0], [95.0, 160.0]], [90.0, 110.0], seed=0)
    assert [change.value for change in changes] == pytest.approx([-10.0, 50.0])
    # The three resamples give, for the first: 85/90, 180/200 and 95/110 of the reference.
    assert (changes[0].low, changes[0].high) == pytest.approx((100 * (95 / 110 - 1), 100 * (85 / 90 - 1)))


@examples(20)
@given(times)
def test_equal_episodes_have_an_interval_of_no_width(values):
    (change,) = percent_changes(values[:, None], values, seed=0)
    assert (change.value, change.low, change.high) == (0.0, 0.0, 0.0)


def test_pairing_removes_what_episodes_have_in_common():
    rng = np.random.default_rng(0)
    reference = rng.uniform(100.0, 1000.0, 100)
    (change,) = percent_changes(0.95 * reference[:, None], reference, seed=0)
    assert (change.value, change.low, change.high) == pytest.approx((-5.0, -5.0, -5.0))


def test_one_episode_has_a_change_but_no_interval():
    (change,) = percent_changes([[50.0]], [100.0], seed=0)
    assert (change.value, change.low, change.high) == (-50.0, None, None)


def test_win_rate_counts_ties_half():
    assert win_rate([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0]) == (1 + 0.5) / 4
    # The same sum in another order is a tie.
    assert win_rate([0.1 + 0.2], [0.3]) == 0.5
