"""A table of text, for the console and for a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        title: What it is about.
        caption: How to read it.
        columns: Their titles.
        rows: Cells, as many as columns.
        left: So many columns hold words, the others numbers.
    """

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


def render(tables: Iterable[Sheet], notes: Iterable[str]) -> Group:
    """Return the tables for the console, of under 120 columns."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Table | Text] = []
    for sheet in tables:
        table = Table(
            title=sheet.title,
            caption=sheet.caption,
            box=box.SIMPLE_HEAD,
            padding=0,
            pad_edge=False,
            show_edge=False,
            header_style="bold",
        )
        for position, title in enumerate(sheet.columns):
            words = position < sheet.left
            table.add_column(title, justify="left" if words else "right", overflow="fold", no_wrap=False)
        for row in sheet.rows:
            table.add_row(*(Text(cell) for cell in row))
        parts += [table, Text()]
    parts += [Text(f"note: {note}") for note in notes]
    return Group(*parts)


def number(value: float | None, sign: str = "") -> str:
    """Format with as many decimals as three significant digits need, at most three."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:{sign}z.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3}f}"


def ends(low: float | None, high: float | None, sign: str = "") -> str:
    """Format an interval."""
    return "-" if low is None or high is None else f"{number(low, sign)}..{number(high, sign)}"
