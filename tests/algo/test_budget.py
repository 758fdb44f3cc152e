from __future__ import annotations

import pytest

from qexp.algo.budget import Budget, linear
from qexp.errors import InputError


def test_a_budget_without_any_limit_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"^algo\.env_steps: "):
        Budget(env_steps=None, seconds=None)


@pytest.mark.parametrize(
    ("env_steps", "seconds", "spent"), [(99, 9.0, False), (100, 0.0, True), (0, 10.0, True)]
)
def test_the_first_limit_ends_the_run(env_steps, seconds, spent):
    assert Budget(env_steps=100, seconds=10.0).spent(env_steps, seconds) is spent


def test_one_limit_may_be_missing():
    assert not Budget(env_steps=None, seconds=10.0).spent(10**12, 9.9)
    assert not Budget(env_steps=10, seconds=None).spent(9, 1e12)


def test_progress_follows_the_nearer_limit():
    assert Budget(env_steps=100, seconds=None).progress(25, 1e9) == 0.25
    assert Budget(env_steps=None, seconds=10.0).progress(10**9, 0.5) == 0.05
    assert Budget(env_steps=100, seconds=10.0).progress(25, 5.0) == 0.5
    assert Budget(env_steps=100, seconds=10.0).progress(250, 5.0) == 1.0


def test_a_clock_in_its_first_tenth_does_not_change_the_schedules_of_a_run_that_counts_steps():
    assert Budget(env_steps=100, seconds=10.0).progress(1, 0.99) == 0.01


def test_a_linear_schedule_stays_at_its_end():
    assert linear(4.0, 2.0, 0.0) == 4.0
    assert linear(4.0, 2.0, 0.5) == 3.0
    assert linear(4.0, 2.0, 1.5) == 2.0
