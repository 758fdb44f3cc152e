"""The report's files: complete, self-contained, and made again from the run folder alone."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from campaigns import campaign, noisy_counts, toy_fidelity, write
from PIL import Image
from rich.console import Console

from qexp.deploy.campaign.journal import State, Task
from qexp.gap.__main__ import main
from qexp.gap.gap import measure
from qexp.gap.report import gap_report
from qexp.gap.report import write as write_report
from qexp.gap.show import plots
from qexp.gap.show.tables import render, tables
from qexp.problem.style import figure
from qexp.report.wording import number

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Collects what a browser would load, and sees that every tag is closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.words, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [value for key, value in attributes if key in {"src", "href", "srcset", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def drawn(path):
    """Whether a PNG has ink, and none of it at the border."""
    import numpy as np

    ink = np.asarray(Image.open(path).convert("L")) < 250
    border = ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any()
    return ink.mean() > 0.01 and not border


def test_the_whole_report(rough, tmp_path):
    paths = write_report(rough, tmp_path)
    assert all(path.is_file() for path in paths)
    assert {path.name for path in paths if path.suffix == ".png"} == {
        f"gap_{name}.png" for name in ("decomposition", "tasks", "machines", "schedulers", "calibration")
    }
    assert all(drawn(path) for path in paths if path.suffix == ".png")

    page = Page((tmp_path / "report.html").read_text())
    assert len(page.loaded) == 5
    assert all(source.startswith("data:image/png;base64,") for source in page.loaded)
    assert "script" not in page.tags
    text = " ".join(page.words)
    assert not re.search(r"https?:|url\(|@import", (tmp_path / "report.html").read_text())
    assert "Price taker" in text
    assert all(note in text for note in rough.notes)
    assert page.tags.count("table") == len(tables(rough)) == 7

    content = json.loads((tmp_path / "gap.json").read_text())
    assert content["tasks"]["all"] == 300
    assert content["tasks"]["counted"] + sum(content["tasks"]["left_out"].values()) == 300
    assert content["assumption"].startswith("Price taker")
    with (tmp_path / "gap_tasks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert sum(not row["left_out"] for row in rows) == content["tasks"]["counted"]
    total = sum(float(row["completion"]) for row in rows if not row["left_out"])
    assert total == pytest.approx(rough.total("measured"))


def test_metrics_are_finite_numbers_by_name(rough):
    metrics = rough.metrics()
    assert all(re.fullmatch(r"gap/[\w./: -]+", name) for name in metrics)
    assert all(value is None or math.isfinite(value) for value in metrics.values())
    parts = sum(metrics[f"gap/total/{part}"] for part in ("delay", "execution", "queue", "unknown"))
    assert parts == pytest.approx(metrics["gap/total/gap"])
    assert metrics["gap/tasks_left_out"] == 300 - metrics["gap/tasks_counted"] > 0


def test_the_console_s_tables_are_under_120_columns(rough):
    file = io.StringIO()
    Console(file=file, width=120).print(render(tables(rough), rough.notes))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    assert any("Price taker" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["none", "failed", "planned", "one"])
def test_campaigns_of_which_little_is_left(tasks, qce25, schedulers, tmp_path):
    rows = [
        Task(k, 0, 0, "mct", k, "ghz_5", 5, 6, 1024, float(k), arrival=float(k), predicted_service=3.0)
        for k in range(0 if tasks == "none" else 3)
    ]
    for row in rows:
        if tasks in {"failed", "one"}:
            row.state, row.node = State.FAILED, "hanoi"
        row.arrival = None if tasks == "planned" else row.arrival
    if tasks == "one":
        rows[1].state, rows[1].running, rows[1].created, rows[1].finished = State.DONE, 1.0, 1.0, 5.0
    with write(tmp_path / "journal.db", rows, {} if tasks in {"none", "planned"} else None) as journal:
        gap = gap_report(journal, qce25, schedulers, tmp_path, fidelity=toy_fidelity)
    counted = int(tasks == "one")
    assert gap.counted == counted
    assert Page((tmp_path / "report.html").read_text()).tags.count("img") == (4 if counted else 0)
    content = json.loads((tmp_path / "gap.json").read_text())
    assert sum(content["tasks"]["left_out"].values()) == len(rows) - counted
    assert any("nothing to compare" in note for note in gap.notes) != bool(counted)
    assert all(value is None or math.isfinite(value) for value in gap.metrics().values())


def test_tables_without_rows_have_their_columns(rough, tmp_path):
    assert rough.shadows == []
    write_report(rough, tmp_path, plots=False)
    header = (tmp_path / "gap_shadows.csv").read_text()
    assert header == "scheduler,shadow,tasks,agreement,chosen,instead,times\n"


@pytest.fixture
def pictures(monkeypatch):
    """The axes of every picture that is drawn, by its name."""
    axes = {}

    @contextmanager
    def watched(path, height):
        with figure(path, height) as canvas:
            yield canvas
            axes[path.stem] = canvas.axes

    monkeypatch.setattr(plots, "figure", watched)
    return axes


@pytest.mark.slow
def test_pictures_of_an_exact_simulation_show_no_rounding(qce25, schedulers, tmp_path, pictures):
    with campaign(tmp_path / "journal.db", replace(qce25, tasks=1), schedulers, blocks=2) as journal:
        plots.draw(measure(journal, qce25, schedulers, toy_fidelity), tmp_path)
    assert [axes.get_xlim() for axes in pictures["gap_decomposition"]] == [(-1.0, 1.0)]
    assert pictures["gap_tasks"][0].get_xlim() == (0.0, 1.0)  # nobody waited


@pytest.mark.slow
def test_the_picture_of_many_machines_shows_those_with_the_most_tasks(rough, tmp_path, pictures):
    perth = [row for row in rough.machines if row.machine == "perth"]
    names = [f"m{k}" for k in range(60)]
    rows = [replace(row, machine=name, tasks=k + 1) for k, name in enumerate(names) for row in perth]
    all_machines = [row for row in rough.machines if row.machine == "all machines"]
    many = replace(
        rough,
        machines=[*rows, *all_machines],
        calibration=replace(rough.calibration, machines=tuple(names)),
    )
    plots.machines(many, tmp_path / "many.png")
    shown = [label.get_text() for label in pictures["many"][0].get_yticklabels()]
    assert shown == [*names[40:], "all machines"]
    assert drawn(tmp_path / "many.png")


def test_names_are_text_on_the_page(qce25, schedulers, tmp_path):
    chosen = {"<b>mct & co</b>": schedulers["mct"]}
    with campaign(tmp_path / "journal.db", qce25, chosen, blocks=1, then=noisy_counts) as journal:
        gap_report(journal, qce25, chosen, tmp_path, fidelity=toy_fidelity, plots=False)
    page = Page((tmp_path / "report.html").read_text())
    assert "b" not in page.tags
    assert "<b>mct & co</b>" in page.words
    assert page.loaded == []


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run with a small campaign on simulated machines whose times are uncertain."""
    folder = tmp_path_factory.mktemp("run")
    quick = ("tracking=off", "plots=false", "eval.episodes=1", "eval.baselines=[mct,met]", "env.tasks=8")
    deploy = ("deploy=simulator", "deploy.tasks=24", "deploy.block=8", "deploy.jitter=0.3")
    names = "deploy.schedulers=[mct,greedy,random]"
    command = [sys.executable, "-m", "qexp", *quick, *deploy, names, f"hydra.run.dir={folder}"]
    subprocess.run(command, cwd=folder.parent, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_a_run_folder_is_reported_again_from_its_files_alone(run_folder, tmp_path):
    by_the_run = (run_folder / "gap.json").read_text()
    command = [sys.executable, "-m", "qexp.gap", run_folder]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Where the gap of the completion time comes from" in done.stdout
    assert (run_folder / "gap.json").read_text() == by_the_run
    first = json.loads(by_the_run)
    assert {row["scheduler"]: row["ran"] for row in first["schedulers"]} == {
        "mct": True,
        "greedy": True,
        "random": True,
        "met": False,
    }
    assert first["tasks"] == {"all": 72, "counted": 72, "left_out": {}}
    assert first["campaign"]["executor"] == "simulator"
    assert "quantum_seconds" not in {row["quantity"] for row in first["machines"]}
    text, page = (run_folder / "gap.json").read_text(), (run_folder / "report.html").read_text()
    assert main([str(run_folder)]) == 0
    assert (run_folder / "gap.json").read_text() == text
    assert (run_folder / "report.html").read_text() == page


@pytest.mark.slow
def test_fit_writes_the_calibration_and_says_what_it_is_worth(run_folder, capsys):
    (run_folder / "calibration.json").unlink(missing_ok=True)
    assert main(["fit", str(run_folder)]) == 0
    out = capsys.readouterr().out
    assert "total completion time (s), before" in out
    assert "total completion time (s), calibrated" in out
    assert json.loads((run_folder / "calibration.json").read_text())["base"] == "ClopsDepth"


def test_a_folder_that_cannot_be_written_to_is_refused_in_one_line(tmp_path, capsys, monkeypatch):
    for name in ("journal.db", "config.yaml"):
        (tmp_path / name).touch()
    # The user that runs the tests may be one who can write everywhere.
    monkeypatch.setattr("os.access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"qexp: {tmp_path} cannot be written to: the report is made in the run folder"


def test_other_folders_are_refused_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    (tmp_path / "journal.db").write_text("no database at all, but long enough to be looked at" * 20)
    (tmp_path / "config.yaml").write_text("seed: [")
    assert main([str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "journal.db" in lines[0]
    assert "config.yaml" in lines[1]
    with pytest.raises(SystemExit):
        main(["fit", "one", "two"])
    assert main(["crn:v1:bluemix:public:quantum-computing:us-east:a/1::"]) == 2
    assert "bluemix" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.000"), (-1e-9, "0.000"), (0.12345, "0.123"), (9.876, "9.88"), (123.45, "123.5")],
)
def test_numbers(value, text):
    assert number(value) == text
