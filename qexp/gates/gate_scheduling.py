"""The gate scheduling problem as configured: a machine, which gates commute, and where circuits come from.

`GateScheduling` is the option ``env=gate_scheduling``. Training and evaluation take their circuits from here,
so they agree on what episode k of a seed is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import RUNTIME, option
from qexp.errors import InputError
from qexp.gates.circuit import checked_circuit
from qexp.gates.circuits.circuits import Circuits, FixedCircuits, RandomCircuits
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import GateEpisode, Problem
from qexp.gates.rulebook import named_rulebook
from qexp.gates.schedule import forward_starts, makespan, violations
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.tables import MachineTables
from qexp.problem.checks import shown, whole_number
from qexp.problem.metric import Metric
from qexp.problem.problem import EVALUATION_STREAM, KEYS, DecisionProblem, Pictured, Played
from qexp.problem.scheduler import Scheduler

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES_PER_QUBIT = 2
"""Gates that a learner is shown at most. Few states of random circuits have more that wait for no other."""
GATE_SCHEDULING = Metric(
    environment="gate_scheduling",
    column="makespan",
    title="makespan",
    unit="cycles",
    reference="critical_path",
    ideal="cp_sat",
    decisions="decisions about gates",
    details="gates.csv",
    ratio="over_optimum",
)


class EpisodeRow(NamedTuple):
    """A circuit that was scheduled: gates, and the cycles it takes, and takes at least."""

    circuit: str
    gates: int
    makespan: int
    bound: int


class GateRow(NamedTuple):
    """A gate that was scheduled: qubits, duration (cycles) and start cycle."""

    gate: int
    name: str
    q1: int
    q2: int
    cycles: int
    start: int


@option("env")
@dataclass
class GateScheduling(DecisionProblem):
    """Schedule the gates of one circuit on one machine."""

    machine: Annotated[
        str, Doc("A machine of qexp (workshop2, workshop5, starmon5, ten_qubit), or a YAML or JSON file.")
    ] = "workshop5"
    rulebook: Annotated[
        str, Doc("default: gates without a common qubit and equal ones commute; cnot: also those of cnots.")
    ] = "cnot"
    max_steps: Annotated[int | None, Ge(1), Doc("Steps that end a training episode; null: none.")] = 1000
    circuits: Circuits = field(default_factory=Workshop)
    fleet: Any = field(default=None, repr=False, metadata=RUNTIME)  # other machines; not looked at
    held_out: int = field(default=0, metadata=RUNTIME)  # first circuits of a fixed list, never trained on

    metric = GATE_SCHEDULING
    has_fleet: ClassVar[bool] = False
    chooses: ClassVar[Mapping[str, str]] = {"backend": "none", "scheduler": "critical_path"}
    episode_columns = (*KEYS, *EpisodeRow._fields)
    task_columns = (*KEYS, *GateRow._fields)

    def __post_init__(self) -> None:
        key = "env.rulebook"
        try:
            self.rules = named_rulebook(self.rulebook)
            key = "env.machine"
            self.properties = MachineProperties.from_file(self.machine)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
        self.tables = MachineTables.of(self.properties)
        self.longest: int  # gates of the longest circuit
        self._fixed: list[GateEpisode] | None = None
        if isinstance(self.circuits, FixedCircuits):
            loaded = self.circuits.load(self.properties).items()
            self._fixed = [GateEpisode(name, self.problem(circuit)) for name, circuit in loaded]
            self.longest = max(len(episode) for episode in self._fixed)
        elif isinstance(self.circuits, RandomCircuits):
            self.circuits.check(self.properties)
            self.longest = self.circuits.max_gates

    @property
    def machines_hash(self) -> str:
        """Content hash of the machine."""
        text = json.dumps(self.properties.to_mapping(), sort_keys=True)
        return "sha256:" + sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """Which circuits, see `DecisionProblem.label`."""
        return self.circuits.label

    @property
    def fixed_episodes(self) -> int | None:
        """How many circuits there are, or None where they are drawn at random."""
        return None if self._fixed is None else len(self._fixed)

    @property
    def decisions(self) -> int:
        """Decisions about a long circuit: of workshop circuits, 0.6 for each gate."""
        return max(1, round(0.6 * self.longest))

    @property
    def of_policy(self) -> dict[str, Any]:
        """Add which gates commute, see `DecisionProblem.of_policy`."""
        return super().of_policy | {"rulebook": self.rulebook}

    @property
    def notes(self) -> list[str]:
        """Say how many circuits a list has, and what is missing without OR-Tools."""
        notes = []
        if self._fixed is not None:
            notes.append(f"env.circuits lists {len(self._fixed)}: each is an episode")
        if find_spec("ortools") is None:
            notes.append("no optimum to compare with: cp_sat needs pip install 'qexp[exact]'")
        return notes

    def plot(self, folder: Path, tasks: pd.DataFrame, shown: Pictured) -> list[Path]:
        """Draw the schedules of an episode's circuit, see `DecisionProblem.plot`."""
        from qexp.gates.plots.picture import plot

        path = folder / f"schedule.{shown.format}"
        problem = self.episode(shown.seed, shown.episode).problem
        plot(tasks, path, episode=shown.episode, schedulers=shown.schedulers, problem=problem)
        return [path]

    def check_training(self, fleet_seed: int | None = None) -> None:
        """Raise `InputError` if evaluation leaves no circuit to train on; there are no fleets."""
        if self._fixed is not None and self.held_out >= len(self._fixed):
            raise InputError(
                f"eval.episodes={self.held_out} takes all {len(self._fixed)} circuits of env.circuits and "
                "leaves none to train on: lower eval.episodes"
            )

    def problem(self, circuit: Any) -> Problem:
        """Return a circuit on this machine with these rules, checked by `checked_circuit`."""
        return Problem.of(self.tables, checked_circuit(circuit, self.tables), self.rules)

    def episode(self, seed: int, k: int) -> GateEpisode:
        """Return evaluation episode ``k`` of a seed, see `DecisionProblem.episode`."""
        if self._fixed is not None:
            return self._fixed[k]
        rng = np.random.default_rng([seed, EVALUATION_STREAM, k])
        return GateEpisode(f"{type(self.circuits).__name__.lower()}_{k}", self._draw(rng))

    def draw(self, rng: np.random.Generator, episodes: int) -> list[Problem]:
        """Draw training episodes, see `DecisionProblem.draw`."""
        if self._fixed is not None:
            chosen = rng.integers(self.held_out, len(self._fixed), size=episodes)
            return [self._fixed[k].problem for k in chosen]
        return [self._draw(rng) for _ in range(episodes)]

    def _draw(self, rng: np.random.Generator) -> Problem:
        assert isinstance(self.circuits, RandomCircuits)
        return self.problem(self.circuits.draw(rng, self.properties))

    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        """Return a `GateVectorEnv`, see `DecisionProblem.make_vector_env`; there are no fleets."""
        from qexp.gates.vector_env import GateVectorEnv  # an evaluation needs no Gymnasium

        return GateVectorEnv(
            self.tables,
            self.draw,
            num_envs,
            max_gates=self.longest,
            candidates=CANDIDATES_PER_QUBIT * self.tables.n_qubits,
            max_steps=self.max_steps,
        )

    def play(self, scheduler: GateScheduler, episode: GateEpisode, rng: np.random.Generator) -> Played:
        """Let a scheduler plan the circuit, and check the plan, see `DecisionProblem.play`."""
        problem = episode.problem
        if not hasattr(scheduler, "plan"):
            name = type(scheduler).__name__
            raise InputError(f"scheduler: {name} plans no circuits: derive it from qexp.GateScheduler")
        scheduler.start(episode, rng)
        plan = _checked(scheduler.plan(problem, rng), scheduler, episode)
        bound = max(int(scheduler.bound), max(problem.tails, default=0))
        totals = EpisodeRow(episode.name, len(problem), makespan(problem, plan), bound)
        names = [str(gate.name) for gate in problem.circuit]
        columns = (range(len(names)), names, problem.q1, problem.q2, problem.cycles)
        return Played(totals, list(map(GateRow, *columns, forward_starts(problem, plan))))


def _checked(plan: Any, scheduler: Scheduler, episode: GateEpisode) -> list[int]:
    """Return a plan as integers, or raise an `InputError` if the machine cannot run it."""
    problem, name = episode.problem, type(scheduler).__name__
    starts = [whole_number(start) for start in plan] if np.iterable(plan) else []
    if len(starts) != len(problem) or None in starts:
        raise InputError(
            f"scheduler: {name} answered {shown(plan)} for {episode.name}: it must be the start "
            f"cycle of each of {len(problem)} gates"
        )
    whole = [int(start) for start in starts if start is not None]
    if wrong := violations(problem, whole):
        raise InputError(f"scheduler: {name} planned {episode.name} as the machine cannot run it: {wrong[0]}")
    return whole
