"""Differences between two snapshots of machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table

from qexp.fleet.fleet import Calibration, Fleet, QNode
from qexp.fleet.machines import plain

Value = float | int | str | bool | None

MEASURED = {"clops", "clops_h", *Calibration.model_fields}


@dataclass(frozen=True)
class Change:
    """One thing about one machine that is not as it was: a key, or ``added`` or ``removed``."""

    machine: str
    what: str
    before: Value = None
    after: Value = None

    @property
    def percent(self) -> float | None:
        """Change in percent of what was measured; None for everything else."""
        if self.what not in MEASURED or not self.before or self.after is None:
            return None
        return 100 * (float(self.after) / float(self.before) - 1)


def differences(before: Fleet, after: Fleet) -> list[Change]:
    """Compare two fleets in the later one's order, what is gone last; ``fez`` and ``ibm_fez`` are one.

    Args:
        before: The earlier fleet.
        after: The later one.
    """
    old, new = _by_machine(before), _by_machine(after)
    changes: list[Change] = []
    for key, node in new.items():
        if key not in old:
            changes.append(Change(node.name, "added"))
            continue
        was, now = _values(old[key]), _values(node)
        triples = ((what, was.get(what), now.get(what)) for what in was | now)
        changes += [Change(node.name, *triple) for triple in triples if triple[1] != triple[2]]
    return changes + [Change(node.name, "removed") for key, node in old.items() if key not in new]


def _by_machine(fleet: Fleet) -> dict[str, QNode]:
    count = Counter(plain(node.name) for node in fleet.nodes)
    return {node.name if count[plain(node.name)] > 1 else plain(node.name): node for node in fleet.nodes}


def _values(node: QNode) -> dict[str, Value]:
    """Everything that may change about a machine, the moment's state last."""
    now = node.live.model_dump() if node.live else {}
    own = node.model_dump(exclude={"name", "calibration", "live", "source"})
    calibrated = {"calibrated": node.source.get("snapshot")}
    return own | {"machine": node.catalogue_machine} | node.calibration.model_dump() | calibrated | now


def report(before: Fleet, after: Fleet) -> Group:
    """Return what changed, for a terminal.

    Args:
        before: The earlier fleet.
        after: The later one.
    """
    rows = Table("machine", "what", "before", "after")
    rows.add_column("change", justify="right")
    last = None
    for change in (changes := differences(before, after)):
        if last not in {None, change.machine}:
            rows.add_section()
        name = "" if change.machine == last else change.machine
        percent = "" if change.percent is None else f"{change.percent:+.1f} %"
        style = {"added": "green", "removed": "red"}.get(change.what)
        rows.add_row(name, change.what, _text(change.before), _text(change.after), percent, style=style)
        last = change.machine
    same = "the same by content" if before.hash == after.hash else "not the same by content"
    head = f"{_title(before)} -> {_title(after)}: {len(after)} machines, {same}"
    return Group(head, rows if changes else "no difference")


def _title(fleet: Fleet) -> str:
    return fleet.name if fleet.taken is None else f"{fleet.name} ({fleet.taken:%Y-%m-%d %H:%M})"


def _text(value: Value) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
