"""How often schedulers that were asked without effect would have chosen the same machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qexp.gap.measure.records import Record


@dataclass(frozen=True)
class Shadow:
    """One scheduler's choices beside those of another that were acted on."""

    scheduler: str  # whose choices were acted on
    shadow: str  # who was asked too, in the same situations
    tasks: int  # so many have both choices
    agreement: float  # share of them in which both chose the same machine
    chosen: str | None  # of the most frequent difference, the chosen machine; None where they never differ
    instead: str | None  # likewise, the shadow's machine
    times: int  # how often that difference occurs


def gap_shadows(rows: Sequence[Record], choices: Iterable[tuple[int, str, str]]) -> list[Shadow]:
    """Return the agreement of each scheduler with each shadow, the closest shadow first.

    Args:
        rows: All records.
        choices: From `qexp.deploy.campaign.journal.Journal.shadows`: task, shadow, machine.
    """
    placed = {row.id: row for row in rows if row.node is not None}
    pairs: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for task, shadow, node in choices:
        row = placed.get(task)
        if row is not None and row.node is not None:
            pairs.setdefault((row.scheduler, shadow), Counter())[row.node, node] += 1
    shadows = [_shadow(*names, counts) for names, counts in pairs.items()]
    return sorted(shadows, key=lambda row: (row.scheduler, -row.agreement, row.shadow))


def _shadow(scheduler: str, shadow: str, counts: Counter[tuple[str, str]]) -> Shadow:
    differ = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    # Of several that are as frequent the first by name, so that a report made again is the same.
    (chosen, instead), times = min(
        differ.items(), key=lambda item: (-item[1], item[0]), default=((None, None), 0)
    )
    tasks = counts.total()
    return Shadow(scheduler, shadow, tasks, (tasks - sum(differ.values())) / tasks, chosen, instead, times)
