"""Gates, lists of them, and their names as integers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias


class Gate(NamedTuple):
    """An operation on one qubit (which is then given twice) or two.

    Attributes:
        name: Kind of gate, as the machine calls it; its integer code in an encoded circuit.
        q1: First qubit, from 0; of a cnot the control.
        q2: Second qubit; equal to ``q1`` for a gate on one qubit.
    """

    name: str | int
    q1: int
    q2: int


Circuit: TypeAlias = list[Gate]
"""Gates in execution order, from left to right."""


class GateEncoder:
    """Numbers gate names from 1 in the order they are learnt; 0 is left for the padding of a circuit."""

    def __init__(self) -> None:
        self._encoding_dct: dict[str, int] = {}
        self._decoding_dct: dict[int, str] = {}
        self._longest_name = 0

    @property
    def n_gates(self) -> int:
        """How many names are known."""
        return len(self._encoding_dct)

    def learn_gates(self, gates: Iterable[str]) -> GateEncoder:
        """Learn names; a code is the position of a name, from 1.

        A name that comes twice is warned about and skipped; its second position stays unused.
        """
        first = max(self._decoding_dct, default=0) + 1
        for code, name in enumerate(gates, start=first):
            if name in self._encoding_dct:
                warnings.warn(f"'gates' contains multiple entries of {name}", UserWarning, stacklevel=2)
                continue
            self._encoding_dct[name] = code
            self._decoding_dct[code] = name
            self._longest_name = max(self._longest_name, len(name))
        return self

    def encode_gates(self, gates: Any) -> Any:
        """Replace names by codes in a name, a mapping, a set, or a sequence of names or of `Gate`.

        Raises:
            KeyError: A name is unknown.
            TypeError: Nothing of the above.
        """
        return _translate(gates, self._encoding_dct)

    def decode_gates(self, encoded_gates: Any) -> Any:
        """Replace codes by names, in all that `encode_gates` takes.

        Raises:
            KeyError: A code is unknown.
            TypeError: Nothing of what `encode_gates` takes.
        """
        return _translate(encoded_gates, self._decoding_dct)

    def __repr__(self) -> str:
        return f"GateEncoder({self._encoding_dct})"


def _translate(gates: Any, table: Mapping[Any, Any]) -> Any:
    if isinstance(gates, Gate):
        return Gate(table[gates.name], gates.q1, gates.q2)
    if isinstance(gates, Mapping):
        return {table[name]: _value(value, table) for name, value in gates.items()}
    if isinstance(gates, set | frozenset):
        return {table[name] for name in gates}
    # Codes that come out of an array are NumPy integers: all that is no collection is looked up.
    if isinstance(gates, str) or (gates is not None and not isinstance(gates, Iterable)):
        return table[gates]
    if isinstance(gates, Sequence):
        return [_translate(gate, table) for gate in gates]
    raise TypeError(f"gates should be names, a mapping, a set or a sequence, but were of type {type(gates)}")


def _value(value: Any, table: Mapping[Any, Any]) -> Any:
    """Translate a value of a mapping: a duration stays, names of excluded gates become a sorted list."""
    if isinstance(value, str):
        return table[value]
    if isinstance(value, set | frozenset):
        return sorted(table[name] for name in value)  # the order of a set of names changes with the hash seed
    return [table[name] for name in value] if isinstance(value, Iterable) else value
