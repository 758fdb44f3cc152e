"""Builds the circuit catalogue: MQT Bench circuits compiled for twenty IBM machines.

Run as `qexp catalogue build`; the result ships as package data, so only a change of the compiler,
the circuits or the machines calls for a rebuild. `--extend` adds new machines to a catalogue.
Needs `pip install 'qexp[catalogue]'`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import platform
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from qexp.circuits.catalogue import FILE, Key, Row, read_rows
from qexp.errors import InputError, answered
from qexp.fleet.build import make_folder
from qexp.fleet.calibration import provenance
from qexp.fleet.ibm import fake_backend, missing_extra
from qexp.fleet.machines import MACHINES
from qexp.runfolder import write_atomically

if TYPE_CHECKING:
    from qexp.circuits.compilation import Machine

LEVEL = 1
SEED = 1
COLUMNS = Row._fields

_EVERY_WIDTH = (
    *("bmw_quark_cardinality", "bv", "dj", "ghz", "qaoa", "qft", "qftentangled", "qnn", "qpeexact"),
    *("qpeinexact", "randomcircuit", "vqe_real_amp", "vqe_su2", "vqe_two_local", "wstate"),
)
FAMILIES = dict.fromkeys(_EVERY_WIDTH, range(2, 51)) | {
    "ae": range(2, 44),  # MQT Bench cannot build it from 44 qubits on: its matrix loses unitarity
    "bmw_quark_copula": range(2, 51, 2),
    "cdkm_ripple_carry_adder": range(4, 51, 2),
    "draper_qft_adder": range(2, 51, 2),
    "full_adder": range(4, 51, 2),
    "graphstate": range(3, 51),
    "grover": range(2, 11),  # too deep beyond
    "half_adder": range(3, 51, 2),
    "hhl": range(3, 51),
    "hrs_cumulative_multiplier": range(5, 26, 4),  # too deep beyond
    "modular_adder": range(2, 51, 2),
    "multiplier": range(4, 37, 4),  # too deep beyond
    "qwalk": range(3, 7),  # already as deep as most families are at 50 qubits
    "rg_qft_multiplier": range(4, 33, 4),  # too deep beyond
    "vbe_ripple_carry_adder": range(4, 51, 3),
}
"""Widths of each family, up to 50 qubits.

"Too deep" is past 16,000 layers on 127 qubits: a few such circuits would take most of a workload's time.
Left out: circuits that measure half-way and act on the outcome (dynamic_qft, ghz_dynamic, iqpe,
seven_qubit_steane_code, shors_nine_qubit_code), which seven of the retired machines cannot run; and shor (two
sizes only, too deep).
"""


@cache
def _machine(name: str) -> Machine:
    from qexp.circuits.compilation import Machine

    return Machine.from_backend(fake_backend(name))


def circuit_rows(circuit: Key, machines: Iterable[str], level: int = LEVEL) -> list[Row]:
    """Compile one circuit for every machine it fits.

    Args:
        circuit: Family and width.
        machines: Names of `MACHINES`.
        level: Qiskit's optimisation level.

    Returns:
        One row per machine with at least as many qubits as the circuit, in the order given.
    """
    from qexp.circuits import compilation

    algorithm, width = circuit
    source = compilation.benchmark_circuit(algorithm, width)
    logical_depth = compilation.logical_depth(source, SEED)
    rows = []
    for name in machines:
        if width <= MACHINES[name].qubits:
            target = _machine(name).target_for(width)
            compiled = compilation.compile_circuit(source, target, level, SEED)
            figures = compilation.measure_figures(compiled, target)
            rows.append(Row(algorithm, width, logical_depth, name, *figures))
    return rows


def build(
    circuits: Sequence[Key], machines: Iterable[str], level: int = LEVEL, jobs: int = 2
) -> Iterator[list[Row]]:
    """Compile circuits in a pool of processes; yield each circuit's rows, in the order given.

    Args:
        circuits: Families and widths.
        machines: Names of `MACHINES`.
        level: Qiskit's optimisation level.
        jobs: Processes; 1: this one.
    """
    work = partial(circuit_rows, machines=machines, level=level)
    if jobs == 1:
        yield from map(work, circuits)
        return
    # Spawned, because forking a process that runs compiler threads can deadlock. Ctrl-C, which reaches the
    # whole pool, ends its processes without a traceback of their own.
    spawn = multiprocessing.get_context("spawn")
    on_interrupt = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(jobs, spawn, initializer=signal.signal, initargs=on_interrupt) as pool:
        yield from pool.map(work, circuits)


def read_catalogue(folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Read a catalogue as `main` writes it: its rows, and how it was made.

    Raises:
        InputError: There is none in the folder.
    """
    try:
        facts = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
        return read_rows((folder / FILE).read_bytes()), facts
    except OSError as error:
        raise InputError(f"--extend: no catalogue in {folder}: {error.strerror}") from error


def catalogue_csv(rows: Iterable[Row]) -> bytes:
    """Return the catalogue as CSV text: seconds and logarithms to six significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for *keys, duration, log10_esp in rows:
        writer.writerow((*keys, f"{duration:.6g}", f"{log10_esp:.6g}"))
    return text.getvalue().encode("ascii")


def catalogue_provenance(rows: Sequence[Row], content: bytes, level: int) -> dict[str, Any]:
    """Return how a catalogue was made, for the JSON file beside it.

    Args:
        rows: Of the catalogue.
        content: Its CSV text.
        level: Qiskit's optimisation level.
    """
    from qexp.circuits.compilation import OPTIONS

    widths: dict[str, set[int]] = {}
    for row in rows:
        widths.setdefault(row.algorithm, set()).add(row.width)
    return {
        "format": "qexp-catalogue/1",
        "command": "python -m qexp.circuits.build",
        "date": datetime.now(UTC).date().isoformat(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "circuits": sum(map(len, widths.values())),
        "rows": len(rows),
        "optimization_level": level,
        "seed_transpiler": SEED,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("mqt-bench", "qiskit", "qiskit-ibm-runtime")},
        "families": {
            name: {"circuits": len(sizes), "min_width": min(sizes), "max_width": max(sizes)}
            | OPTIONS.get(name, {})
            for name, sizes in widths.items()
        },
        "machines": {
            name: provenance(fake_backend(name))
            | {"qubits": MACHINES[name].qubits, "healthy_qubits": _machine(name).healthy.num_qubits}
            for name in dict.fromkeys(row.machine for row in rows)
        },
    }


def parse_circuit(text: str) -> list[Key]:
    """Read `ALGO:WIDTH`, or `ALGO` for all its widths.

    Raises:
        InputError: No such family, or the family has no circuit of that width.
    """
    algorithm, _, width = text.partition(":")
    if algorithm not in FAMILIES:
        raise InputError(f"--only: unknown family {algorithm!r}; known: {', '.join(sorted(FAMILIES))}")
    if not width:
        return [(algorithm, number) for number in FAMILIES[algorithm]]
    if not width.isdigit() or int(width) not in FAMILIES[algorithm]:
        known = ", ".join(map(str, FAMILIES[algorithm]))
        raise InputError(f"--only: {algorithm} has no width {width!r}; it has {known}")
    return [(algorithm, int(width))]


def _parser(shipped: Path, prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--out", type=Path, default=shipped, metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--machines", nargs="+", choices=list(MACHINES), default=list(MACHINES), metavar="NAME"
    )
    parser.add_argument(
        "--extend", action="store_true", help="keep the catalogue in DIR and add the machines it lacks"
    )
    parser.add_argument("--only", nargs="+", metavar="ALGO[:WIDTH]", help="default: every family and width")
    parser.add_argument("--level", type=int, choices=range(4), default=LEVEL, help="default: %(default)s")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="processes; default: %(default)s")
    return parser


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Build the catalogue and write its two files; return the exit status.

    Args:
        arguments: Of the command line; None for the process's own.
        prog: Name of the command in its help.
    """
    shipped = Path(__file__).parent / "data"
    options = _parser(shipped, prog).parse_args(arguments)
    # One thread per process: the compiler's own threads would fight over the cores with the pool.
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["QISKIT_PARALLEL"] = "FALSE"
    _build_into(options.out, _wanted(options, options.out == shipped), options)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return answered(partial(command, arguments, "python -m qexp.circuits.build"), prefix="")


def _wanted(options: argparse.Namespace, replaces_shipped: bool) -> list[Key]:
    partly = bool(options.only) or len(set(options.machines)) < len(MACHINES) or options.level != LEVEL
    if partly and replaces_shipped:
        raise InputError("--only, --machines and --level need --out DIR: the shipped catalogue is whole")
    return sorted({circuit for text in options.only or FAMILIES for circuit in parse_circuit(text)})


def _build_into(out: Path, circuits: Sequence[Key], options: argparse.Namespace) -> None:
    try:
        from qexp.circuits import compilation  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    rows, made = read_catalogue(out) if options.extend else ([], {"machines": {}})
    if options.extend:
        _check_same_build(made, circuits, rows, options.level)
    machines = [name for name in MACHINES if name in options.machines and name not in made["machines"]]
    if not machines:
        raise InputError(f"--extend: the catalogue in {out} has these machines already")
    if min(width for _, width in circuits) > max(MACHINES[name].qubits for name in machines):
        raise InputError(f"--machines: no circuit fits on {', '.join(machines)}")
    make_folder(out, "--out")
    console = Console(stderr=True)
    compiled = build(circuits, machines, options.level, options.jobs)
    for added in track(compiled, "Compiling", len(circuits), console=console):
        rows += added
    order = list(MACHINES)
    rows.sort(key=lambda row: (row.circuit, order.index(row.machine)))
    content = catalogue_csv(rows)
    facts = catalogue_provenance(rows, content, options.level)
    # Without a time stamp the same rows give the same bytes.
    write_atomically(out / FILE, gzip.compress(content, compresslevel=9, mtime=0))
    write_atomically(out / "catalogue.json", (json.dumps(facts, indent=2) + "\n").encode())
    console.print(f"{len(circuits)} circuits, {len(rows)} rows -> {out}")


def _check_same_build(made: dict[str, Any], circuits: Sequence[Key], rows: list[Row], level: int) -> None:
    """Raise `InputError` unless rows of this build may stand beside those that are there."""
    packages = ("mqt-bench", "qiskit")
    asked = [level, SEED, *map(version, packages)]
    was = [
        made["optimization_level"],
        made["seed_transpiler"],
        *(made["versions"][name] for name in packages),
    ]
    if asked != was:
        raise InputError(
            f"--extend: the catalogue was made at level, seed, {', '.join(packages)} {was}, not {asked}: "
            "make it again, whole"
        )
    if {row.circuit for row in rows} != set(circuits):
        raise InputError("--extend: the catalogue has other circuits: make it again, whole")


if __name__ == "__main__":
    sys.exit(main())
