"""Random circuits to schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from qexp.errors import InputError
from qexp.gates.gate import Circuit, Gate
from qexp.problem.arrays import Ints


class CircuitGenerator(ABC, Iterator[Circuit]):
    """A stream of circuits; ``next(generator)`` is one.

    Attributes:
        finite: Whether the stream ends. Environments take endless ones.
        rng: Generator of random numbers, where there is one: an environment that is reset with a seed
            replaces it, so that the seed decides the circuits.
    """

    finite: bool

    @abstractmethod
    def __next__(self) -> Circuit:
        """Return the next circuit."""

    @abstractmethod
    def set_state_attributes(self, **kwargs: Any) -> None:
        """Take in what the circuits are for: ``machine_properties``, ``max_gates`` and more."""


class RandomCircuitGenerator(CircuitGenerator):
    """Gates drawn one by one from fixed shares, two-qubit ones on two different qubits.

    The length is uniform between the number of qubits and ``max_gates``.

    Args:
        seed: Seed or generator of the random numbers.
    """

    shares: ClassVar[dict[str, float]]
    prepare: ClassVar[bool]  # every qubit first

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        self.finite = False
        self.rng = np.random.default_rng(seed)
        self.n_qubits: int
        self.max_gates: int

    def set_state_attributes(self, **kwargs: Any) -> None:
        """Take the number of qubits from ``machine_properties`` and the greatest length, ``max_gates``.

        Raises:
            InputError: There is no room for a gate per qubit.
        """
        n_qubits, max_gates = kwargs["machine_properties"].n_qubits, kwargs["max_gates"]
        if max_gates < n_qubits:
            raise InputError(f"max_gates={max_gates} is too small: circuits have at least {n_qubits} gates")
        self.n_qubits, self.max_gates = n_qubits, max_gates

    def __next__(self) -> Circuit:
        return self.circuit(int(self.rng.integers(self.n_qubits, self.max_gates, endpoint=True)))

    @classmethod
    def kinds(cls) -> set[str]:
        """Return the names of the gates that circuits have."""
        return {*cls.shares, *(["prep"] if cls.prepare else [])}

    def circuit(self, length: int) -> Circuit:
        """Return a circuit of so many gates, at least one per qubit."""
        first = [Gate("prep", qubit, qubit) for qubit in range(self.n_qubits)] if self.prepare else []
        return first + self._draw(length - len(first))

    def _draw(self, length: int) -> Circuit:
        shares = {name: share for name, share in self.shares.items() if name != "cnot" or self.n_qubits > 1}
        names, weights = list(shares), np.cumsum(list(shares.values()))
        kinds = np.searchsorted(weights, self.rng.random(length) * weights[-1], side="right")
        kinds = np.minimum(kinds, len(names) - 1)  # a product that rounds up to the last weight
        q1: Ints = self.rng.integers(self.n_qubits, size=length)
        q2 = q1
        if "cnot" in shares:
            # Another qubit: a step of 1 to n - 1 around the ring of qubits.
            other = (q1 + self.rng.integers(1, self.n_qubits, size=length)) % self.n_qubits
            q2 = np.where(kinds == names.index("cnot"), other, q1)
        drawn = zip([names[kind] for kind in kinds.tolist()], q1.tolist(), q2.tolist(), strict=True)
        return list(map(Gate._make, drawn))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BasicCircuitGenerator(RandomCircuitGenerator):
    """Every qubit prepared, then x, y and z (16 % each), cnot (50 %) and measure (2 %)."""

    shares: ClassVar[dict[str, float]] = {"x": 0.16, "y": 0.16, "z": 0.16, "cnot": 0.5, "measure": 0.02}
    prepare: ClassVar[bool] = True


class WorkshopCircuitGenerator(RandomCircuitGenerator):
    """x and y (20 % each), cnot (50 %) and measure (10 %), for machines that know nothing else."""

    shares: ClassVar[dict[str, float]] = {"x": 0.2, "y": 0.2, "cnot": 0.5, "measure": 0.1}
    prepare: ClassVar[bool] = False


class NullCircuitGenerator(CircuitGenerator):
    """Empty circuits without end: for environments whose circuits are all given to ``reset``."""

    def __init__(self) -> None:
        self.finite = False

    def __next__(self) -> Circuit:
        return []

    def set_state_attributes(self, **kwargs: Any) -> None:
        """Nothing to take in."""
