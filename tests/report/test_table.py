"""One table in five outputs: the same content, and names that are syntax in one of them stay names."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from qexp.gates.gate_scheduling import GATE_SCHEDULING
from qexp.placement.placement import PLACEMENT
from qexp.report.leaderboard import board, leaderboard, render
from qexp.report.table import BAD, CODE, FORMATS, STRONG, Column, Table
from qexp.report.wording import rounded, share

NAMES = [
    "least_busy",
    "[mct,met]",
    "50% & more",
    "_a_ *b*",
    r"a|b \| c",
    "x\\",
    "<b>bold</b>",
    "#1 {$x$} ~^`",
]
ROWS = [
    {"scheduler": name, "mean": 1.25 * k, "low": -k / 3, "high": k / 7, "wins": k / 10}
    for k, name in enumerate(NAMES)
]
UNDEFINED = {"scheduler": "nobody", "mean": None, "low": None, "high": float("nan")}
TABLE = Table(
    "Times [of 5 %] & others",
    [
        Column("scheduler", words=True),
        Column("mean", "mean\ntime", "s", "{:.1f}".format),
        Column(("low", "high"), "inter-\nval", "%", "{:+.1f}".format),
        Column("wins", format=share, mark=lambda row: "*" if row.get("wins") == 0.7 else ""),
    ],
    [*ROWS, UNDEFINED],
    "Lower is better: a_b < c.",
    ["* not proved", "[x] failed: 100 %", "1. of many", "# of runs"],
)
HEADINGS = ["scheduler", "mean time (s)", "interval (%)", "wins"]


def cells(table: Table, between: str) -> list[list[str]]:
    """What stands in the cells, whatever the output."""
    return [[column.text(row, between) for column in table.columns] for row in table.rows]


class Cells(HTMLParser):
    """The texts of a page's table cells, row by row, and all text around the tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.around, self.inside, self.tags = "", False, set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in {"td", "th"}

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data
        else:
            self.around += data


def rendered(markdown: str) -> Cells:
    return Cells(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


COMMANDS = {"backslash": "\\", "asciitilde": "~", "asciicircum": "^", "less": "<", "greater": ">", "bar": "|"}


def typeset(latex: str) -> str:
    """What LaTeX makes of escaped text."""
    plain = re.sub(r"\$([+-])\$", r"\1", latex.replace("-{}-", "--"))
    plain = re.sub(
        r"\\text(\w+?)\{\}|\\([&%$#_{}])|\{([\[\]*])\}",
        lambda found: COMMANDS[found[1]] if found[1] else found[2] or found[3],
        plain,
    )
    return plain.replace(r"$\pm$", "±")


def latex_rows(text: str) -> list[list[str]]:
    inside = text.partition("\\toprule")[2].partition("\\bottomrule")[0]
    lines = [line.strip() for line in inside.splitlines() if line.strip() not in {"", "\\midrule"}]
    assert all(line.endswith(" \\\\") for line in lines)
    split = (re.split(r"(?<!\\) & ", line.removesuffix(" \\\\")) for line in lines)
    return [[typeset(re.sub(r"^\\textbf\{(.*)\}$", r"\1", cell)) for cell in row] for row in split]


def test_all_outputs_have_the_same_content():
    expected = [HEADINGS, *cells(TABLE, " to ")]
    markdown, page = rendered(TABLE.markdown()), Cells(TABLE.html())
    assert markdown.rows == expected
    assert latex_rows(TABLE.latex()) == expected
    assert page.rows == [HEADINGS, *cells(TABLE, "..")]
    assert page.tags == {"section", "h2", "p", "div", "table", "thead", "tbody", "tr", "th", "td"}
    console = TABLE.console(width=120)
    for row in cells(TABLE, ".."):
        assert any(all(cell in line for cell in row) for line in console.splitlines()), row
    latex = typeset(TABLE.latex())
    for text in (TABLE.title, TABLE.caption, *TABLE.notes):
        assert all(text in shown for shown in (console, markdown.around, page.around, latex)), text


def test_csv_has_the_figures_as_they_are():
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert list(rows[0]) == ["scheduler", "mean", "low", "high", "wins"]
    assert [row["scheduler"] for row in rows] == [*NAMES, "nobody"]
    assert [float(row["low"]) for row in rows[:-1]] == [row["low"] for row in ROWS]
    assert (rows[-1]["mean"], rows[-1]["wins"]) == ("", "")


@pytest.mark.parametrize("style", ["", STRONG, CODE])
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.strip).filter(bool))
def test_any_name_stays_what_it_is(style, text):
    table = Table("", [Column("name", words=True, style=lambda _: style)], [{"name": text}])
    assert list(csv.reader(io.StringIO(table.csv()))) == [["name"], [text]]
    assert Cells(table.html()).rows == [["name"], [text]]
    assert text in table.console(width=200)
    if style != CODE:
        assert latex_rows(table.latex()) == [["name"], [text]]
    if style != CODE or not re.search(r"[`\\]", text):
        assert rendered(table.markdown()).rows == [["name"], [text]]


def test_what_is_special_is_marked_in_each_output():
    table = Table(
        "",
        [Column("name", words=True), Column("value", style=lambda row: BAD if row["value"] > 1 else "")],
        [{"name": "a2c", "value": 1}, {"name": "mct", "value": 2}],
        style=lambda row: STRONG if row["name"] == "a2c" else "",
    )
    assert "| **a2c** | 1 |" in table.markdown()
    assert r"\textbf{a2c} & 1 \\" in table.latex()
    assert "<strong>a2c</strong>" in table.html()
    assert '<span class="bad">2</span>' in table.html()
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard").print(table)
    green, red = (
        next(line for line in out.getvalue().splitlines() if name in line) for name in ("a2c", "mct")
    )
    assert green.startswith("\x1b[1;32m")
    assert "\x1b[31m" in red


def test_what_does_not_fit_a_console_is_folded_and_not_cut_off():
    table = Table("", [Column("name", words=True), Column("value")], [{"name": "n" * 60, "value": 123456}])
    lines = table.console(width=30).splitlines()
    assert max(map(len, lines)) <= 30
    assert sum(line.count("n") for line in lines[2:]) == 60
    assert "123456" in "".join(lines)


@pytest.mark.parametrize("metric", [PLACEMENT, GATE_SCHEDULING], ids=lambda metric: metric.environment)
def test_a_leaderboard_in_every_format_says_the_same(metric, episodes):
    if metric is GATE_SCHEDULING:
        names = {"mct": "critical_path", "clairvoyant": "cp_sat"}
        episodes = episodes.replace({"scheduler": names})
        best = episodes.groupby("episode")["makespan"].transform("min")
        episodes = episodes.assign(over_optimum=episodes["makespan"] / best, optimum_proved=True)
    rows = leaderboard(episodes, metric, failed={"broken [x]": "ValueError: no | such"})
    table = render(rows, metric, "a2c")
    expected = cells(table, " to ")
    assert [row[0] for row in expected] == [row.scheduler for row in rows]
    assert expected[-1][:3] == ["broken [x]", "failed", "-"]
    assert rendered(table.markdown()).rows[1:] == latex_rows(table.latex())[1:] == expected
    assert Cells(table.html()).rows[1:] == cells(table, "..")
    records = [row.record(metric) for row in rows]
    for row, record in zip(csv.DictReader(io.StringIO(table.csv())), records, strict=True):
        assert {key: float(value) for key, value in row.items() if value and key != "scheduler"} == {
            key: record[key] for key in row if key != "scheduler" and record[key] is not None
        }
    assert board(records, metric, "a2c").console() == table.console()
    assert {table.text(output) for output in FORMATS} == {
        *(table.console(), table.markdown(), table.latex(), table.html(), table.csv())
    }


def test_numbers_say_no_more_than_their_intervals():
    assert [rounded(value) for value in (-0.04, 99.94, 99.96, 1234.5)] == ["0.0", "99.9", "100", "1234"]
    assert [share(value) for value in (0.126, -9.99, -10.0)] == ["13%", "-999%", "<-999%"]
