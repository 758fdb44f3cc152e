"""A fleet of quantum machines, and the files that fleets are read from and written to, each with its hash."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Doc

from qexp.config.option import Configurable, group, option
from qexp.errors import InputError
from qexp.problem.arrays import Floats, Ints

FORMAT = "qexp-fleet/1"
FLEET_FILE = "fleet.yaml"
"""In the folder of a run whose machines may be others tomorrow."""
MOST = 2**63 - 1  # what an array holds; larger numbers are slips of a keyboard

# The reference implementation's fleet has one negative readout error (a slip of its authors); reproducing
# its published figures needs such a file to load, so error rates are bounded below by -1 and not by 0.
ErrorRate = Annotated[float, Field(ge=-1.0, le=1.0)]


class _Record(BaseModel):
    # Names of machines and formats come from users: `machine` and `format` must stay plain strings.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Calibration(_Record):
    """Averages over a machine's qubits and edges; times in seconds, gates sx and the native two-qubit one."""

    t1: Annotated[float, Field(gt=0)]
    t2: Annotated[float, Field(gt=0)]
    readout_error: ErrorRate
    single_qubit_error: ErrorRate
    two_qubit_error: ErrorRate


class Live(_Record):
    """How a machine was doing when a snapshot was taken, in the vendor's words and numbers."""

    operational: bool
    status: str
    pending_jobs: Annotated[int, Field(ge=0, le=MOST)]


class QNode(_Record):
    """One quantum machine with one FCFS queue.

    Attributes:
        clops: Circuit layer operations per second on the scale of the original CLOPS benchmark.
        clops_h: The newer, hardware-aware benchmark's figure, if there is one; the two do not compare.
        machine: Machine of the circuit catalogue whose compiled circuits stand for this node's; by
            default the node's own name.
        live: The moment's state; neither it nor ``source``, free-form provenance, is in the content hash.
    """

    name: Annotated[str, Field(min_length=1)]
    qubits: Annotated[int, Field(ge=1, le=MOST)]
    clops: Annotated[float, Field(gt=0)]
    clops_h: Annotated[float, Field(gt=0)] | None = None
    quantum_volume: Annotated[int, Field(ge=1, le=MOST)] = 1
    machine: str = ""
    calibration: Calibration
    live: Live | None = None
    source: dict[str, Any] = {}

    @property
    def catalogue_machine(self) -> str:
        """Catalogue machine that this node's circuits are compiled for."""
        return self.machine or self.name


class _File(_Record):
    format: str
    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    taken: datetime | None = None
    nodes: Annotated[tuple[QNode, ...], Field(min_length=1)]
    hash: str = ""


def content_hash(nodes: Iterable[QNode | Mapping[str, Any]]) -> str:
    """Return the hash that identifies a fleet by what its machines are, whenever and wherever they were read.

    It is ``sha256:`` and the digest of the canonical JSON of all but ``live`` and ``source``, in order.
    """
    whole = (QNode.model_validate(node) for node in nodes)
    rows = [node.model_dump(exclude={"live", "source"}, exclude_none=True) for node in whole]
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Fleet:
    """Machines in a fixed order, and when they were read; node index in every array is the index here."""

    name: str
    nodes: tuple[QNode, ...]
    taken: datetime | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def hash(self) -> str:
        """Content hash, see `content_hash`."""
        return content_hash(self.nodes)

    @cached_property
    def names(self) -> list[str]:
        """Node names in order."""
        return [node.name for node in self.nodes]

    @cached_property
    def qubits(self) -> Ints:
        """Qubits of each node, shape ``[nodes]``."""
        return np.array([node.qubits for node in self.nodes], dtype=np.int64)

    @cached_property
    def clops(self) -> Floats:
        """CLOPS of each node, layers per second, shape ``[nodes]``."""
        return np.array([node.clops for node in self.nodes], dtype=np.float64)

    @cached_property
    def readout_error(self) -> Floats:
        """Average readout error of each node, shape ``[nodes]``."""
        return np.array([node.calibration.readout_error for node in self.nodes], dtype=np.float64)


def load_fleet(path: str | Path, key: str = "backend.path") -> Fleet:
    """Read a fleet snapshot.

    Args:
        path: YAML or JSON file, or the name of a fleet that ships with qexp (``qce5``, ``ibm13``, ``heron``).
        key: What the user gave the path as.

    Raises:
        InputError: The file is missing, malformed, has a wrong value, or its hash does not match.
    """
    shipped, file = resources.files("qexp.fleet") / "data" / f"{path}.yaml", Path(path)
    source = shipped if not file.suffix and shipped.is_file() else file
    try:
        return parse_fleet(source.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "not UTF-8 text") or str(error)
        raise InputError(f"{key}: cannot read fleet file {file}: {reason}") from error


def parse_fleet(text: str, file: Path) -> Fleet:
    """Return the fleet that a text describes, see `load_fleet`.

    Args:
        text: YAML or JSON.
        file: Where it is from or bound for.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the latter two: no such date, no end of [
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{file}{line}: not valid YAML: {problem}") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise InputError(f"{file}:1: not a fleet file: expected a mapping with 'format: {FORMAT}'")
    try:
        snapshot = _File.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{file}: {'; '.join(map(_violation, error.errors()))}") from error
    fleet = Fleet(snapshot.name, snapshot.nodes, snapshot.taken)
    if twice := [name for name, times in sorted(Counter(fleet.names).items()) if times > 1]:
        raise InputError(f"{file}: nodes: name {twice[0]!r} is used more than once")
    if snapshot.hash and snapshot.hash != fleet.hash:
        raise InputError(
            f"{file}: hash: the file says {snapshot.hash[:19]}..., its content gives {fleet.hash[:19]}...; "
            "it was edited: remove the hash line, or set it to the new value"
        )
    return fleet


def _violation(item: Mapping[str, Any]) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
    return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}"


def fleet_text(head: str, facts: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a fleet file.

    Args:
        head: Comment for the first line.
        facts: What comes before the nodes.
        nodes: The machines.
    """
    record = {"format": FORMAT, **facts, "hash": content_hash(nodes), "nodes": list(nodes)}
    return f"# {head}\n" + yaml.safe_dump(record, sort_keys=False, width=110)


def write_fleet(fleet: Fleet, folder: Path) -> None:
    """Write the machines that a run works with to its folder.

    Args:
        fleet: The machines.
        folder: Of the run; it exists.
    """
    taken = {} if fleet.taken is None else {"taken": fleet.taken.isoformat()}
    facts = {"name": fleet.name, "description": "The machines as this run met them.", **taken}
    nodes = [node.model_dump(mode="json", exclude_none=True) for node in fleet.nodes]
    text = fleet_text("Use it again with backend=file backend.path=FILE.", facts, nodes)
    (folder / FLEET_FILE).write_text(text, encoding="utf-8")


@group("backend")
class FleetSource(Configurable, ABC):
    """A source of machines: which there are, and whether tomorrow too (fixed)."""

    fixed: ClassVar[bool] = True

    @abstractmethod
    def load(self) -> Fleet:
        """Return the machines; raise `InputError` if they cannot be read or made."""


def fleet_of_run(source: FleetSource, folder: Path, *, begun: bool) -> Fleet:
    """Return the machines of a run.

    Args:
        source: The backend option.
        folder: Run folder.
        begun: Whether the run that is there is meant: it keeps the machines that it began with.
    """
    file = folder / FLEET_FILE
    return load_fleet(file, "resume") if begun and file.is_file() else source.load()


def record_fleet(source: FleetSource, fleet: Fleet, folder: Path) -> None:
    """Write a run's machines to its folder if their source may have others tomorrow.

    Args:
        source: Where the machines come from.
        fleet: The machines as the run met them.
        folder: Of the run; it exists.
    """
    if not source.fixed:
        write_fleet(fleet, folder)
    elif Path(getattr(source, "path", "")) != folder / FLEET_FILE:
        (folder / FLEET_FILE).unlink(missing_ok=True)


@option("backend", "file")
@dataclass(frozen=True)
class FleetFile(FleetSource):
    """A fleet of your own (backend=file backend.path=FLEET.yaml)."""

    path: Annotated[str, Doc("YAML or JSON file in the layout of docs/fleet.md.")]

    def load(self) -> Fleet:
        """Read the snapshot, see `load_fleet`."""
        return load_fleet(self.path)


@option("backend", "qce5")
@dataclass(frozen=True)
class QCE5(FleetFile):
    """The five machines of the reference papers: washington, kolkata, hanoi, perth, lagos."""

    path: Annotated[str, Doc("A fleet that ships with qexp.")] = "qce5"


@option("backend", "ibm13")
@dataclass(frozen=True)
class IBM13(FleetFile):
    """Thirteen retired IBM machines of 5 to 127 qubits."""

    path: Annotated[str, Doc("A fleet that ships with qexp.")] = "ibm13"


@option("backend", "heron")
@dataclass(frozen=True)
class Heron(FleetFile):
    """Six of today's IBM machines, with Heron processors of 133 and 156 qubits."""

    path: Annotated[str, Doc("A fleet that ships with qexp.")] = "heron"


@option("backend", "none")
@dataclass(frozen=True)
class NoFleet(FleetSource):
    """No fleet: the environment has a machine of its own (env=gate_scheduling)."""

    def load(self) -> Fleet:
        """Return a fleet without machines."""
        return Fleet("none", ())
