"""The commands of `qexp` beside a run: what each does, and which function does it."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from qexp.errors import InputError

RUNS: dict[str, tuple[str, ...]] = {"run": (), "sweep": ("-m",)}
"""Commands that Hydra composes a configuration for, with what they stand for before its arguments."""


@dataclass(frozen=True)
class Command:
    """A command: the function `command` of a module, with the arguments that choose it among several."""

    module: str
    usage: str
    purpose: str
    given: tuple[str, ...] = ()

    def run(self, name: str, arguments: Sequence[str]) -> int:
        """Run it; return the exit status.

        Args:
            name: What the command was called on the command line.
            arguments: The rest of the command line.
        """
        called = f"qexp {name}".removesuffix(" ".join(("", *self.given)) if self.given else "")
        status: int = importlib.import_module(self.module).command([*self.given, *arguments], called)
        return status


COMMANDS = {
    "report": Command(
        "qexp.report.__main__",
        "RUN_OR_SWEEP [--format latex]",
        "a run's or a sweep's tables, from its files alone",
    ),
    "gap": Command("qexp.gap.__main__", "[fit] RUN_DIR", "how far simulation was from what was measured"),
    "sync": Command("qexp.tracking.sync", "RUN_DIR ...", "deliver runs to MLflow after the fact"),
    "extract": Command("qexp.problem.extract", "CHECKPOINT OUT", "make a policy bundle of a checkpoint"),
    "fleet snapshot": Command(
        "qexp.fleet.snapshot", "ibm|fake OUT.yaml ...", "write machines to a fleet file"
    ),
    "fleet list": Command("qexp.fleet.snapshot", "", "the machines `fake` knows", ("list",)),
    "fleet diff": Command(
        "qexp.fleet.snapshot", "A.yaml B.yaml", "what changed between two fleets", ("diff",)
    ),
    "fleet build": Command("qexp.fleet.build", "[OUT_DIR]", "make the fleets that ship with qexp"),
    "catalogue build": Command("qexp.circuits.build", "[--out DIR] ...", "compile the circuits' catalogue"),
}


def overview() -> str:
    """Return what ``--help`` prints of the commands, a line each."""
    lines = {f"{name} {command.usage}".strip(): command.purpose for name, command in COMMANDS.items()}
    return "\n".join(f"  qexp {usage:36s} {purpose}" for usage, purpose in lines.items())


def run_command(arguments: Sequence[str]) -> int | None:
    """Run the command that a command line begins with.

    Returns:
        Its exit status; None if the command line is one of a run.

    Raises:
        InputError: It begins with the name of several commands and chooses none of them.
    """
    for length in (2, 1):
        name = " ".join(arguments[:length])
        if name in COMMANDS:
            return COMMANDS[name].run(name, arguments[length:])
    family = arguments[0] if arguments else ""
    members = [name for name in COMMANDS if family and name.startswith(f"{family} ")]
    if not members:
        return None
    if {"-h", "--help"} & set(arguments):
        lines = [line for line in overview().splitlines() if line.startswith(f"  qexp {family} ")]
        print("\n".join(lines))  # noqa: T201 -- help is for the terminal
        return 0
    raise InputError(f"qexp {' '.join(arguments[:2])}: choose {', '.join(members)}")


def completed_here(arguments: Sequence[str]) -> bool:
    """Complete the command of the line in ``COMP_LINE``; leave what follows a run's to Hydra.

    Returns:
        Whether there is nothing more to complete; a shell then proposes files.
    """
    if not any(argument.startswith("query=") for argument in arguments):
        return False
    program, _, rest = os.environ.get("COMP_LINE", "").partition(" ")
    first, blank, others = rest.lstrip().partition(" ")
    if blank and first in RUNS:
        os.environ["COMP_LINE"] = f"{program} {others}"
    firsts = dict.fromkeys(name.split()[0] for name in (*RUNS, *COMMANDS))
    if not blank:
        print("\n".join(name for name in firsts if name.startswith(first)))  # noqa: T201 -- for the shell
    return bool(blank) and first in firsts and first not in RUNS


def folder_of_line() -> list[str]:
    """Take ``--config-dir FOLDER`` out of the line that a shell asks about, where Hydra expects overrides.

    Returns:
        The flag and the folder, for Hydra; empty if the line names none.
    """
    line = os.environ.get("COMP_LINE", "")
    flag = re.search(r"\s(?:--config-dir|-cd)(?:=|\s+)(\S+)(?=\s)", line)
    if flag is None:
        return []
    os.environ["COMP_LINE"] = line[: flag.start()] + line[flag.end() :]
    return ["--config-dir", flag[1]]
