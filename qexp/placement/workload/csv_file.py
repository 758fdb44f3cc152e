"""Workloads from files in QSimPy's CSV layout, so that published results can be compared with.

One row is one circuit of one subset; one subset is one episode, in file order. The columns
``ibmq<Q>_width``, ``ibmq<Q>_depth`` and ``ibmq<Q>_gates`` describe the circuit compiled for machines of Q
qubits; -1 means that it does not fit.
"""

from __future__ import annotations

import ast
import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.fleet.fleet import Calibration, Fleet
from qexp.placement.workload.workload import Circuits, Workload

VIRTUAL = {"rz", "barrier", "delay", "id", "u1", "p"}
"""Operations that take no time and make no error on IBM machines (virtual Z and bookkeeping)."""
MOST = 10**9  # no circuit has more layers or gates; larger numbers are slips of a keyboard
TWO_QUBIT = {"cx", "ecr", "cz", "swap", "rzz"}


class _Row(NamedTuple):
    line: int
    name: str
    width: int
    depth: int
    compiled: dict[int, tuple[int, str]]  # machine qubits -> compiled depth, gate counts as written


@option("env/workload", "csv")
@dataclass
class CSV(Workload):
    """Circuits from a file in QSimPy's CSV layout; one subset is one episode."""

    any_fleet: ClassVar[bool] = False

    path: Annotated[str, Doc("The file.")]
    merge_duplicates: Annotated[
        bool,
        Doc(
            "Whether rows of one subset with the same algorithm and width are one task, as in the "
            "reference implementation."
        ),
    ] = False
    shots: Annotated[int, Ge(1), Doc("Repetitions of every circuit.")] = 1024

    def circuits(self, fleet: Fleet) -> Circuits:
        """Return one circuit per row and the rows of each subset, see `Workload.circuits`."""
        rows, subsets = self._read()
        shape = (len(rows), len(fleet))
        depth, esp = np.full(shape, np.nan), np.zeros(shape)
        for n, node in enumerate(fleet.nodes):
            if node.qubits not in rows[0].compiled:
                have = ", ".join(str(q) for q in sorted(rows[0].compiled))
                raise InputError(
                    f"{self.path}:1: no column ibmq{node.qubits}_depth for node {node.name!r} "
                    f"({node.qubits} qubits); the file has machines of {have} qubits"
                )
            for c, row in enumerate(rows):
                layers, gates = row.compiled[node.qubits]
                if layers >= 0 and row.width <= node.qubits:
                    depth[c, n] = layers
                    esp[c, n] = _esp(_gates(gates, f"{self.path}:{row.line}"), node.calibration)
        feasible = ~np.isnan(depth)
        for c in np.flatnonzero(~feasible.any(axis=1))[:1]:
            raise InputError(
                f"{self.path}:{rows[c].line}: {rows[c].name} ({rows[c].width} qubits) fits no machine of "
                f"fleet {fleet.name!r}"
            )
        return Circuits(
            names=[f"{row.name}_{row.width}" for row in rows],
            width=np.array([row.width for row in rows], dtype=np.int64),
            depth=np.array([row.depth for row in rows], dtype=np.int64),
            feasible=feasible,
            compiled_depth=depth,
            duration=np.full(shape, np.nan),
            esp=esp,
            subsets=subsets,
        )

    def _read(self) -> tuple[list[_Row], list[np.ndarray]]:
        rows: dict[object, _Row] = {}
        subsets: dict[str, list[int]] = {}
        try:
            with Path(self.path).open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, strict=True)
                machines = _machines(self.path, reader.fieldnames)
                for record in reader:
                    row = _row(record, machines, self.path, reader.line_num)
                    key = (record["subset"], row.name, row.width) if self.merge_duplicates else row.line
                    if key not in rows:
                        subsets.setdefault(record["subset"], []).append(len(rows))
                        rows[key] = row
        except OSError as error:
            raise InputError(f"env.workload.path: cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"env.workload.path: {self.path} is not a text file: {error}") from error
        except csv.Error as error:
            # The reader stops before the line it cannot read.
            raise InputError(f"{self.path}:{reader.line_num}: not valid CSV: {error}") from error
        if not rows:
            raise InputError(f"{self.path}:1: the file has a header and no circuits")
        return list(rows.values()), [np.array(indices, dtype=np.int64) for indices in subsets.values()]


def _row(record: dict[str, str], machines: list[int], path: str, line: int) -> _Row:
    if None in record or None in record.values():
        raise InputError(f"{path}:{line}: the row has not as many fields as the header")

    def integer(column: str, minimum: int) -> int:
        try:
            value = int(record[column])
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= MOST:
            raise InputError(
                f"{path}:{line}: {column}: expected a whole number from {minimum} to {MOST}, "
                f"got {record[column]!r}"
            )
        return value

    compiled = {q: (integer(f"ibmq{q}_depth", -1), record[f"ibmq{q}_gates"]) for q in machines}
    width = integer("original_width", 1)
    return _Row(line, record["algorithm"], width, integer("original_depth", 0), compiled)


def _gates(text: str, where: str) -> dict[str, int]:
    try:
        counts = {str(name): int(count) for name, count in ast.literal_eval(text).items()}
        if all(0 <= count <= MOST for count in counts.values()):
            return counts
    except (ValueError, SyntaxError, AttributeError, TypeError, OverflowError):
        pass
    raise InputError(f"{where}: gates: expected counts by gate, got {text!r}")


def _machines(path: str, header: object) -> list[int]:
    columns = list(header) if isinstance(header, list) else []
    machines = [int(m[1]) for c in columns if (m := re.fullmatch(r"ibmq(\d+)_depth", c))]
    needed = ["subset", "algorithm", "original_width", "original_depth"]
    needed += [f"ibmq{q}_gates" for q in machines]
    if missing := [column for column in needed if column not in columns]:
        raise InputError(f"{path}:1: missing column {missing[0]!r}")
    if not machines:
        raise InputError(f"{path}:1: missing columns: no ibmq<qubits>_depth in the header")
    return machines


def _esp(gates: dict[str, int], calibration: Calibration) -> float:
    """Estimate the success probability from gate counts and average errors.

    The product over gates of one minus the gate's error; source: Nishio et al., "Extracting success from
    IBM's 20-qubit machines using error-aware compilation", ACM JETC 16(3), 2020.
    """
    errors = dict.fromkeys(TWO_QUBIT, calibration.two_qubit_error) | {"measure": calibration.readout_error}
    log = 0.0
    for name, count in gates.items():
        if name not in VIRTUAL:
            error = errors.get(name, calibration.single_qubit_error)
            log += count * np.log1p(-min(max(error, 0.0), 1.0 - 1e-12))
    return float(np.exp(log))
