"""Snapshots of machines as fleet files: the live ones an account may use, or the client's fake backends.

Run as `qexp fleet snapshot ibm OUT.yaml`, `qexp fleet snapshot fake OUT.yaml NAME...`, `qexp fleet list` or
`qexp fleet diff A.yaml B.yaml`. What comes out is for `backend=file backend.path=OUT.yaml`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qexp.errors import InputError, answered
from qexp.fleet.account import refuse_secrets
from qexp.fleet.calibration import native_gate, node_of, processor
from qexp.fleet.difference import report
from qexp.fleet.fleet import fleet_text, load_fleet, parse_fleet
from qexp.fleet.ibm import Nodes, ask, fake_backend, fake_names, live_nodes
from qexp.fleet.machines import lattice_of
from qexp.runfolder import write_atomically


def fake_nodes(names: Sequence[str]) -> tuple[Nodes, list[str]]:
    """Read fake backends in the order given: their nodes, and what a person should know about them."""
    nodes: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for name in names:
        backend = fake_backend(name)
        short = type(backend).__name__.removeprefix("Fake").removesuffix("V2").lower()
        if short in nodes:
            raise InputError(f"{name}: named twice")
        try:
            nodes[short], note = node_of(backend, short)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        notes += [note] if note else []
    return list(nodes.values()), notes


def take(options: argparse.Namespace, console: Console) -> None:
    """Write a snapshot.

    Args:
        options: The command's arguments.
        console: Where to report.
    """
    out: Path = options.out
    if out.exists() and not options.force:
        raise InputError(f"{out} exists: --force replaces it")
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}")
    if out.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{out}: name it .yaml")
    taken = datetime.now(UTC).replace(microsecond=0)
    if options.command == "ibm":
        what = "IBM Quantum machines as seen by one account."
        with console.status("Asking IBM Quantum"):
            nodes, notes = ask(live_nodes, options.timeout)
    else:
        what = "Machines from the fake backends of qiskit-ibm-runtime."
        nodes, notes = fake_nodes(options.names)
    facts = {"name": out.stem, "description": what, "taken": taken.isoformat()}
    head = f"Made by `python -m qexp.fleet.snapshot {options.command}`; remove the hash if you change a node."
    text = fleet_text(head, facts, nodes)
    fleet = parse_fleet(text, out)
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    said = [*(f"note: {note}" for note in notes), f"{len(fleet)} machines, {fleet.hash[:19]}... -> {out}"]
    for line in said:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def show_fakes(console: Console) -> None:
    """Print which fake backends there are."""
    rows = Table("name", "qubits", "native gate", "lattice", "processor", "calibrated")
    for name in fake_names():
        backend = fake_backend(name)
        with suppress(InputError):  # of machines with other gates
            configuration, measured = backend.configuration(), backend.properties().last_update_date
            size, native = str(configuration.n_qubits), native_gate(backend.target)
            lattice, kind = lattice_of(configuration.coupling_map), processor(configuration)
            rows.add_row(name, size, native, lattice, kind, f"{measured:%Y-%m-%d}")
    console.print(rows)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("expected more than 0 and at most 3600 seconds")
    return seconds


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ibm = commands.add_parser("ibm", help="the machines of your IBM Quantum account")
    ibm.add_argument("--timeout", type=_seconds, default=120, metavar="SECONDS", help="default: %(default)s")
    fake = commands.add_parser("fake", help="machines of the client's fake backends")
    for command in (ibm, fake):
        command.add_argument("out", type=Path, metavar="OUT.yaml")
        command.add_argument("--force", action="store_true", help="replace OUT.yaml")
    fake.add_argument("names", nargs="+", metavar="NAME", help="for example fez; `list` shows all")
    commands.add_parser("list", help="the fake backends there are")
    difference = commands.add_parser("diff", help="what changed from one snapshot to another")
    difference.add_argument("before", metavar="A.yaml")
    difference.add_argument("after", metavar="B.yaml")
    return parser


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Run one of the commands; return the exit status.

    Args:
        arguments: Of the command line; None for the process's own.
        prog: Name of the command in its help.
    """
    console = Console()
    refuse_secrets(sys.argv[1:] if arguments is None else arguments)
    options = _parser(prog).parse_args(arguments)
    if options.command == "list":
        show_fakes(console)
    elif options.command == "diff":
        console.print(report(load_fleet(options.before, "diff"), load_fleet(options.after, "diff")))
    else:
        take(options, console)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return answered(partial(command, arguments, "python -m qexp.fleet.snapshot"), prefix="")


if __name__ == "__main__":
    sys.exit(main())
