"""Decisions per second of the two simulation engines alone: no features, no environment around them."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Effort, Figure, race, ratios
from qexp.fleet.fleet import load_fleet
from qexp.placement.batched import BatchedCloud, Tables
from qexp.placement.engine import SimulatedCloud
from qexp.placement.placement import Placement
from qexp.problem.arrays import Ints

EPISODES = 1024


def measure(effort: Effort) -> list[Figure]:
    """Measure both engines on the same kind of episodes and decisions."""
    scenario = Placement(load_fleet("qce5"))
    rates = race({"simpy": Reference(scenario), "batched": Batched(scenario)}, effort)
    return [
        Figure("SimPy engine", "decisions/s", rates["simpy"]),
        Figure(f"batched engine, {EPISODES:,} episodes", "decisions/s", rates["batched"]),
        Figure("batched over SimPy", "x", ratios(rates, "batched", "simpy")),
    ]


def valid_nodes(rng: np.random.Generator, scenario: Placement, rows: Ints) -> Ints:
    """Draw for each circuit a node that it fits on."""
    fits = np.isfinite(scenario.service[rows])
    return np.asarray((rng.random(fits.shape) * fits).argmax(axis=-1))


class Reference:
    """Plays prepared episodes on the event-driven engine."""

    def __init__(self, scenario: Placement, episodes: int = 50) -> None:
        rng = np.random.default_rng(0)
        batch = scenario.draw(rng, episodes)
        nodes = valid_nodes(rng, scenario, batch.rows)
        self._fleet = scenario.fleet
        self._episodes = [
            (scenario.assemble(rows, arrival), chosen.tolist())
            for rows, arrival, chosen in zip(batch.rows, batch.arrival, nodes, strict=True)
        ]
        self._next = 0

    def __call__(self) -> int:
        """Play one episode to its last decision."""
        episode, nodes = self._episodes[self._next]
        self._next = (self._next + 1) % len(self._episodes)
        cloud = SimulatedCloud(self._fleet, episode)
        for node in nodes:
            cloud.place(node)
        return len(nodes)


class Batched:
    """Plays prepared episodes on the batched engine."""

    def __init__(self, scenario: Placement) -> None:
        rng = np.random.default_rng(0)
        self._batch = scenario.draw(rng, EPISODES)
        self._nodes = np.ascontiguousarray(valid_nodes(rng, scenario, self._batch.rows).T)
        circuits = scenario.circuits
        tables = Tables(
            circuits.width, circuits.depth, scenario.service, circuits.esp, scenario.workload.shots
        )
        self._cloud = BatchedCloud(tables, EPISODES, scenario.longest)
        self._all = np.arange(EPISODES)

    def __call__(self) -> int:
        """Play all episodes to their last decision."""
        self._cloud.begin(self._all, self._batch.rows, self._batch.arrival)
        for nodes in self._nodes:
            self._cloud.place(nodes)
        return self._nodes.size
