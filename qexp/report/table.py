"""A table, written once: for a console, a page, a README, a paper, or another program.

Rows hold values; how they are written is the columns' business. So CSV has the figures as they are, under the
keys of the rows, and every other output the same text of them, in its own syntax.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Row = Mapping[str, Any]
FORMATS = ("console", "markdown", "latex", "html", "csv")
MISSING = "-"
"""In place of a figure that is not defined."""

STRONG, BAD, PENDING, CODE = "strong", "bad", "pending", "code"
"""Styles of rows and cells, for `Table.style` and `Column.style`."""
COLOURS = {STRONG: "bold green", BAD: "red", PENDING: "yellow"}
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {character: f"{{{character}}}" for character in "[]*"}  # after a line's end they would be arguments
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "→": r"$\to$"}
)


def _nothing(_: Row) -> str:
    return ""


def _plain(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Column:
    """A column's heading, and the value it shows of each row.

    Attributes:
        key: Of the value in a row; of an interval, the keys of its two ends.
        title: Heading, by default the key; where it has a line break, a console breaks it.
        unit: Of its figures.
        format: Writes a value that is no text.
        words: Whether it holds words, which stand at the left, and not figures, at the right.
        style: What a row's cell is: `STRONG`, `BAD`, `PENDING`, `CODE` or nothing.
        mark: What stands behind a row's value, and alone where there is none.
    """

    key: str | tuple[str, str]
    title: str | None = None
    unit: str = ""
    format: Callable[[Any], str] = _plain
    words: bool = False
    style: Callable[[Row], str] = _nothing
    mark: Callable[[Row], str] = _nothing

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its values, one or two."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def heading(self) -> str:
        """The heading on one line, with the unit in brackets."""
        whole = re.sub(r"-\n|(?<=_)\n", "", self._title).replace("\n", " ")
        return f"{whole} ({self.unit})" if self.unit else whole

    @property
    def narrow_heading(self) -> str:
        """The heading on lines of its own, as a console shows it."""
        return "\n".join(filter(None, (self._title, self.unit)))

    @property
    def _title(self) -> str:
        return self.keys[0] if self.title is None else self.title

    def text(self, row: Row, between: str) -> str:
        """Return what stands in a row's cell.

        Args:
            row: The row.
            between: Stands between the ends of an interval.
        """
        values = [row.get(key) for key in self.keys]
        mark = self.mark(row)
        if any(value is None or value != value for value in values):  # noqa: PLR0124 -- not a number
            return mark or MISSING
        texts = (value if isinstance(value, str) else self.format(value) for value in values)
        return between.join(texts) + mark


@dataclass(frozen=True)
class Table:
    """A table.

    A rich console prints it, and a notebook shows it, as it is.

    Attributes:
        title: What it is about.
        columns: From left to right.
        rows: From top to bottom, each with values by the columns' keys.
        caption: How to read it.
        notes: What else a reader must know, a line each.
        style: What a row is, see `Column.style`: a console shows all of it so, other outputs its first cell.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    notes: Sequence[str] = ()
    style: Callable[[Row], str] = _nothing

    def __rich__(self) -> RichTable:
        """Return the table as rich prints it: what does not fit is folded, never cut off."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        below = "\n".join(filter(None, (self.caption, *self.notes)))
        table = RichTable(
            title=Text(self.title, "table.title") if self.title else None,
            caption=Text(below, "table.caption") if below else None,
            box=box.SIMPLE_HEAD,
            padding=0,
            pad_edge=False,
            show_edge=False,
            show_header=any(column.heading for column in self.columns),
            header_style="bold",
        )
        for column in self.columns:
            side = "left" if column.words else "right"
            table.add_column(Text(column.narrow_heading), justify=side, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            cells = (Text(c.text(row, ".."), COLOURS.get(c.style(row), "")) for c in self.columns)
            table.add_row(*cells, style=COLOURS.get(self.style(row)))
        return table

    def console(self, width: int = 100) -> str:
        """Return the table as a console of a certain width shows it, without colours."""
        from rich.console import Console

        with io.StringIO() as file:
            Console(file=file, width=width).print(self)
            return file.getvalue()

    def markdown(self) -> str:
        """Return the table as Markdown with GitHub's pipes."""
        rules = ("---" if column.words else "--:" for column in self.columns)
        lines = [_piped(_markdown(column.heading) for column in self.columns), f"|{'|'.join(rules)}|"]
        lines += [_piped(cells) for cells in self._cells(" to ", _markdown)]
        above = [f"**{_markdown(self.title)}**", ""] if self.title else []
        below = [line for text in (self.caption, *self.notes) if text for line in ("", _markdown(text))]
        return "\n".join([*above, *lines, *below]) + "\n"

    def latex(self) -> str:
        """Return the table as a LaTeX float, for the package booktabs."""
        sides = "".join("l" if column.words else "r" for column in self.columns)
        heading = " & ".join(_latex(column.heading) for column in self.columns)
        rows = [f"    {' & '.join(cells)} \\\\" for cells in self._cells(" to ", _latex)]
        titles = " ".join(_latex(text) for text in (self.title and f"{self.title}.", self.caption) if text)
        return "\n".join(
            [
                r"\begin{table}  % needs \usepackage{booktabs}",
                r"  \centering",
                *([f"  \\caption{{{titles}}}"] if titles else []),
                f"  \\begin{{tabular}}{{{sides}}}",
                r"    \toprule",
                f"    {heading} \\\\",
                r"    \midrule",
                *rows,
                r"    \bottomrule",
                r"  \end{tabular}",
                *(f"  \\par\\smallskip{{\\footnotesize {_latex(note)}}}" for note in self.notes),
                r"\end{table}",
                "",
            ]
        )

    def html(self) -> str:
        """Return the table as a section of a page; figures have the class ``n``."""
        kinds = ["" if column.words else ' class="n"' for column in self.columns]
        heads = (
            f"<th{kind}>{html.escape(c.heading)}</th>" for c, kind in zip(self.columns, kinds, strict=True)
        )
        rows = (
            "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells, kinds, strict=True))
            for cells in self._cells("..", _html)
        )
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<section><h2>{html.escape(self.title)}</h2><p>{html.escape(self.caption)}</p>"
            f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>{notes}</section>\n"
        )

    _repr_html_ = html

    def csv(self) -> str:
        """Return the values as CSV, unrounded, an interval as two columns; the heads are the rows' keys."""
        keys = [key for column in self.columns for key in column.keys]
        with io.StringIO(newline="") as file:
            writer = csv.DictWriter(file, keys, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
            return file.getvalue()

    def text(self, format: str) -> str:  # noqa: A002 -- as the command line calls it
        """Return the table in one of `FORMATS`."""
        written: str = getattr(self, format)()
        return written

    def _cells(self, between: str, written: Callable[[str, str], str]) -> Iterator[list[str]]:
        """Yield the cells of each row, written by a function of their texts and styles."""
        for row in self.rows:
            styles = [column.style(row) for column in self.columns]
            styles[0] = styles[0] or self.style(row)
            texts = (column.text(row, between) for column in self.columns)
            yield [written(text, style) for text, style in zip(texts, styles, strict=True)]


def _piped(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str, style: str = "") -> str:
    """Escape what would be syntax; stars and underscores only where they could stress, so that names stay."""
    if style == CODE:
        return "`" + text.replace("|", r"\|") + "`"
    inline = r"[\\`\[<|~$]|&(?=#?\w+;)|(?<=\S)\*|\*(?=\S)|(?<![^\W_])_|_(?![^\W_])"
    block = r"^[*+#>-](?=\s)|(?<=^\d)[.)](?=\s)"
    escaped = re.sub(f"{inline}|{block}", r"\\\g<0>", text).replace("\n", " ")
    if style != STRONG:
        return escaped
    # Not every reader tells an escaped asterisk from the end of what is strong.
    return "**" + re.sub(r"\\?[*]", "&#42;", escaped) + "**"


def _latex(text: str, style: str = "") -> str:
    """Escape what would be syntax, and give numbers their minus sign."""
    escaped = text.translate(_LATEX).replace("--", "-{}-").replace("\n", " ")
    signed = re.sub(r"(?<![\w.-])[+-](?=\d)", r"$\g<0>$", escaped)
    command = {STRONG: "textbf", CODE: "texttt"}.get(style)
    return f"\\{command}{{{signed}}}" if command else signed


def _html(text: str, style: str = "") -> str:
    tag = {STRONG: "strong", CODE: "code"}.get(style, f'span class="{style}"')
    return f"<{tag}>{html.escape(text)}</{tag.split()[0]}>" if style else html.escape(text)
