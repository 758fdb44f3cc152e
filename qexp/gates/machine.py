"""Machines: their gates, how long they take, and what their control electronics forbid.

Machines are files in YAML or JSON, in the layout of `MachineProperties.from_mapping`; some ship with qexp.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from importlib import resources
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import yaml

from qexp.errors import InputError
from qexp.gates.gate import GateEncoder

EXCLUSIONS = ("own_duration", "no_overlap")
_REQUIRED = {"n_qubits", "gates", "machine_restrictions"}
_KEYS = _REQUIRED | {"description", "exclusion", "two_qubit_gates", "cycle_ns"}
_RESTRICTIONS = {"same_start", "not_in_same_cycle"}
_DATA = resources.files("qexp.gates") / "data"


class MachineFileError(InputError, NotImplementedError):
    """A machine file that cannot be used.

    A NotImplementedError too: scripts written for qgym, which reads no files, catch that one.
    """


class MachineProperties:
    """Qubits, gates and restrictions of one machine.

    Built by chaining: ``MachineProperties(2).add_gates({"x": 2, "cnot": 4}).add_two_qubit_gates(["cnot"])``.
    Methods that name a gate the machine does not have raise a ValueError.

    Args:
        n_qubits: At least 1.
        exclusion: How long a gate keeps those out that may not run in its cycle. With ``own_duration`` each
            of them for as long as that one itself takes; with ``no_overlap`` until the gate has ended, so
            that two of them never run at once.
        cycle_ns: Length of a cycle in nanoseconds, where it is known.

    Raises:
        TypeError: A number is none.
        ValueError: A number is out of range, or the exclusion unknown.
    """

    def __init__(
        self, n_qubits: int, *, exclusion: str = "own_duration", cycle_ns: float | None = None
    ) -> None:
        if exclusion not in EXCLUSIONS:
            raise ValueError(f"'exclusion' should be one of {', '.join(EXCLUSIONS)}, but was {exclusion!r}")
        if cycle_ns is not None and not 0 < real(cycle_ns, "cycle_ns") < float("inf"):
            raise ValueError(f"'cycle_ns' should be positive and finite, but was {cycle_ns}")
        self.exclusion = exclusion
        self.cycle_ns = cycle_ns
        self._n_qubits = positive_integer(n_qubits, "n_qubits")
        self._gates: dict[Any, int] = {}
        self._same_start: set[Any] = set()
        self._not_in_same_cycle: dict[Any, Any] = {}
        self._two_qubit_gates: set[Any] = set()
        self._encoded = False

    @property
    def n_qubits(self) -> int:
        """How many qubits there are; they are numbered from 0."""
        return self._n_qubits

    @property
    def gates(self) -> dict[Any, int]:
        """Cycles that each gate takes, by name (by code once encoded)."""
        return self._gates

    @property
    def n_gates(self) -> int:
        """How many kinds of gate there are."""
        return len(self._gates)

    @property
    def same_start(self) -> set[Any]:
        """Gates of which two may only run at once if they start in the same cycle."""
        return self._same_start

    @property
    def not_in_same_cycle(self) -> dict[Any, Any]:
        """For each gate the gates that it keeps out, see `exclusion`."""
        return self._not_in_same_cycle

    @property
    def two_qubit_gates(self) -> set[Any]:
        """Gates that need two different qubits; of other gates nothing is known."""
        return self._two_qubit_gates

    def add_gates(self, gates: Mapping[str, int]) -> MachineProperties:
        """Add gates and the cycles they take.

        A gate that was given already is overwritten, with a warning, and its exclusions are dropped.

        Raises:
            TypeError: Not a mapping, a name that is no string, or cycles that are no number.
            ValueError: Cycles that are not whole or below 1.
        """
        if not isinstance(gates, Mapping):
            raise TypeError(f"'gates' should be a mapping, but was of type {type(gates)}")
        for key, cycles in gates.items():
            name = _lower(key)
            if name in self._gates:
                text = f"Gate '{name}' was already given. Overwriting it with the new value."
                warnings.warn(text, UserWarning, stacklevel=2)
            self._gates[name] = positive_integer(cycles, name)
            self._not_in_same_cycle[name] = set()
        return self

    def add_same_start(self, gates: Iterable[str]) -> MachineProperties:
        """Let gates of one kind run at once only if they start in the same cycle."""
        self._same_start.update(map(self._known, gates))
        return self

    def add_not_in_same_cycle(self, gates: Iterable[tuple[str, str]]) -> MachineProperties:
        """Forbid pairs of gates in the same cycle; a gate may be paired with itself."""
        for one, other in gates:
            first, second = self._known(one), self._known(other)
            self._not_in_same_cycle[first].add(second)
            self._not_in_same_cycle[second].add(first)
        return self

    def add_two_qubit_gates(self, gates: Iterable[str]) -> MachineProperties:
        """Say which gates need two different qubits, so that circuits can be checked for it."""
        self._two_qubit_gates.update(map(self._known, gates))
        return self

    @classmethod
    def from_mapping(cls, machine_properties: Mapping[str, Any]) -> MachineProperties:
        """Build a machine from nested mappings.

        They are ``{"n_qubits": int, "gates": {name: cycles}, "machine_restrictions": {"same_start": [names],
        "not_in_same_cycle": {name: [names]}}}``; ``exclusion``, ``cycle_ns``, ``two_qubit_gates`` may follow.

        Raises:
            TypeError: Not a mapping.
            ValueError: A key is missing, or a value out of range.
        """
        given = _mapping(machine_properties, "machine_properties")
        if not given.keys() >= _REQUIRED:
            keys = "'n_qubits', 'gates' and 'machine_restrictions'"
            raise ValueError(f"'machine_properties' must have the keys {keys}")
        restrictions = _mapping(given["machine_restrictions"], "machine_restrictions")
        if not restrictions.keys() >= _RESTRICTIONS:
            raise ValueError("'machine_restrictions' must have the keys 'same_start' and 'not_in_same_cycle'")
        exclusion, cycle_ns = given.get("exclusion", "own_duration"), given.get("cycle_ns")
        machine = cls(given["n_qubits"], exclusion=exclusion, cycle_ns=cycle_ns)
        machine.add_gates(given["gates"]).add_same_start(restrictions["same_start"])
        apart = restrictions["not_in_same_cycle"].items()
        machine.add_not_in_same_cycle((one, other) for one, others in apart for other in others)
        return machine.add_two_qubit_gates(given.get("two_qubit_gates", ()))

    @classmethod
    def from_file(cls, filename: str | Path) -> MachineProperties:
        """Read a machine from a YAML or JSON file, or one that ships with qexp by its name.

        Raises:
            InputError: No such file, or it holds no machine. (A NotImplementedError as well.)
        """
        content = _file_content(filename)
        try:
            return cls.from_mapping(content)
        except (TypeError, ValueError, AttributeError) as error:
            raise MachineFileError(f"{filename}: {error}") from error

    def to_mapping(self) -> dict[str, Any]:
        """Return what `from_mapping` builds this machine from; a ValueError if it is encoded."""
        self._assert_named()
        restrictions = {"same_start": sorted(self._same_start), "not_in_same_cycle": self._apart()}
        mapping: dict[str, Any] = {
            "n_qubits": self.n_qubits,
            "gates": dict(self._gates),
            "machine_restrictions": restrictions,
            "exclusion": self.exclusion,
            "two_qubit_gates": sorted(self._two_qubit_gates),
        }
        return mapping if self.cycle_ns is None else mapping | {"cycle_ns": self.cycle_ns}

    def encode(self) -> GateEncoder:
        """Replace all names by integer codes, in place, once, and return the encoder that knows both."""
        self._assert_named()
        encoder = GateEncoder().learn_gates(self._gates)
        for name in ("_gates", "_same_start", "_not_in_same_cycle", "_two_qubit_gates"):
            setattr(self, name, encoder.encode_gates(getattr(self, name)))
        self._encoded = True
        return encoder

    def _assert_named(self) -> None:
        if self._encoded:
            raise ValueError("the machine properties are encoded already")

    def _known(self, gate: str) -> str:
        name = _lower(gate)
        if name not in self._gates:
            raise ValueError(f"unknown gate '{name}'")
        return name

    def _apart(self) -> dict[Any, list[Any]]:
        return {name: sorted(others) for name, others in self._not_in_same_cycle.items() if others}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MachineProperties) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}:", f"n_qubits: {self.n_qubits}", "gates:"]
        lines += [f"  {name}: {cycles} cycles" for name, cycles in self._gates.items()]
        lines += [f"same_start: {', '.join(map(str, sorted(self._same_start)))}", "not_in_same_cycle:"]
        lines += [f"  {name}: {', '.join(map(str, others))}" for name, others in self._apart().items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_qubits={self.n_qubits}, gates={self._gates}, "
            f"same_start={self._same_start}, not_in_same_cycle={self._not_in_same_cycle})"
        )


def machine_names() -> list[str]:
    """Names of the machines that ship with qexp."""
    return sorted(path.name.removesuffix(".yaml") for path in _DATA.iterdir() if path.name.endswith(".yaml"))


def write_machine(machine: MachineProperties, path: str | Path) -> None:
    """Write a machine as YAML, or as JSON where the path ends in .json.

    Args:
        machine: One that is not encoded; for another a ValueError.
        path: Where to.
    """
    mapping = machine.to_mapping()
    as_json = Path(path).suffix == ".json"
    text = json.dumps(mapping, indent=2) + "\n" if as_json else yaml.safe_dump(mapping, sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")


def positive_integer(value: object, name: str) -> int:
    """Return a number that must be whole and at least 1; ``5.0`` is 5.

    Args:
        value: What is given.
        name: Of the number, for messages.

    Raises:
        TypeError: It is no real number.
        ValueError: It is not whole, or below 1.
    """
    number = int(value) if isinstance(value, Integral) else real(value, name)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"'{name}' should be an integer, but was {value}")
    if number < 1:
        raise ValueError(f"'{name}' should be at least 1, but was {value}")
    return int(number)


def real(value: object, name: str) -> float:
    """Return a real number, infinity included, or raise a TypeError that names it.

    Args:
        value: What is given.
        name: Of the number, for messages.
    """
    if not isinstance(value, Real):
        raise TypeError(f"'{name}' should be a real number, but was of type {type(value)}")
    return float(value)


def _lower(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a gate's name should be a string, but was of type {type(name)}")
    return name.lower()


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"'{name}' should be a mapping, but was of type {type(value)}")
    return value


def _file_content(name: str | Path) -> dict[str, Any]:
    path = Path(name)
    if str(name) in machine_names():
        text = (_DATA / f"{name}.yaml").read_text(encoding="utf-8")
    elif path.suffix not in {".yaml", ".yml", ".json"}:
        raise MachineFileError(
            f"unknown machine {str(name)!r}; give the path of a .yaml or .json file, or one of "
            + ", ".join(machine_names())
        )
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise MachineFileError(f"cannot read machine {path}: {reason}") from error
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise MachineFileError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise MachineFileError(f"{path}: a machine is a mapping of {', '.join(sorted(_KEYS))}")
    # A file is written once and read by others: a key nobody reads is a slip of the writer.
    restrictions = content.get("machine_restrictions")
    wrong = [str(key) for key in content if key not in _KEYS]
    if isinstance(restrictions, dict):
        wrong += [f"machine_restrictions.{key}" for key in restrictions if key not in _RESTRICTIONS]
    if wrong:
        raise MachineFileError(f"{path}: unknown key {wrong[0]!r}")
    return content
