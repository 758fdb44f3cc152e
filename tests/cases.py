"""How much of a test belongs to the quick loop: which cases, and how many examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

QUICK = "quick"
settings.register_profile(QUICK, max_examples=15, deadline=None)
settings.register_profile("thorough", deadline=None)


def choose_profile(marks: str) -> None:
    """Let Hypothesis try few examples where slow tests are left out, as `pytest` alone does.

    Args:
        marks: Pytest's expression of the marks that are selected.
    """
    settings.load_profile(QUICK if "not slow" in marks else "thorough")


def examples(number: int, **more: Any) -> settings:
    """Try so many examples; in the quick loop, no more than its profile says."""
    quick = settings.get_current_profile_name() == QUICK
    return settings(max_examples=min(number, settings.default.max_examples) if quick else number, **more)


def quick_first(cases: Iterable[Any], quick: int = 1) -> list[Any]:
    """Mark all cases but the first as slow: ``pytest`` alone runs those, ``make test`` all.

    Args:
        cases: For ``pytest.mark.parametrize``; a tuple has a value for each name.
        quick: How many stay in the quick loop.
    """
    cases = list(cases)
    return [*cases[:quick], *(_slow(case) for case in cases[quick:])]


def _slow(case: Any) -> Any:
    if hasattr(case, "marks"):  # what pytest.param returns
        return pytest.param(*case.values, marks=[*case.marks, pytest.mark.slow], id=case.id)
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
