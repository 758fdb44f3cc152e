"""Random fleets to train on, so that a policy does not learn one fleet by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qexp.backend.synthetic import imitate
from qexp.env.scenario import Scenario

FLEETS = 256
"""How many there are: some two thousand machines, where the configured fleet has five."""
FLEET_STREAM = 2  # keeps their drawing apart from every other use of the same seed


def random_fleets(scenario: Scenario, seed: int, count: int = FLEETS) -> list[Scenario]:
    """Return a placement problem on random fleets that take after its own.

    Each has half to twice as many machines, all numbers equally likely, and they are drawn as those of
    ``backend=synthetic`` are. The first one is as wide as the widest of the problem's own fleet.

    Args:
        scenario: The placement problem.
        seed: Of the drawing.
        count: How many fleets.

    Raises:
        InputError: The fleet cannot be imitated, or circuits do not fit its widest machine.
    """
    machines = len(scenario.fleet)
    rng = np.random.default_rng([seed, FLEET_STREAM])
    sizes = rng.integers((machines + 1) // 2, 2 * machines, size=count, endpoint=True)
    return [
        replace(scenario, fleet=imitate(scenario.fleet, int(size), [seed, FLEET_STREAM, k], "backend"))
        for k, size in enumerate(sizes)
    ]
