"""Every benchmark runs in miniature and writes a table that makes sense; what is fast is not judged here."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import quick_first

from benchmarks.measure import Effort, Figure, fastest, race, rate, ratios
from benchmarks.report import machine, page

ROOT = Path(__file__).parents[1]
MINIATURE = Effort(repetitions=2, seconds=0.01)


def rows(text: str) -> list[list[str]]:
    """The cells of every table row of a page, headings left out."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    return [row for row in cells if row[0] != "figure" and not row[0].startswith("--")]


def number(text: str) -> float:
    digits = re.fullmatch(r"\**([\d.,e-]+?)( M)?\**", text)
    assert digits, text
    return float(digits[1].replace(",", "")) * (1e6 if digits[2] else 1)


def check(text: str, figures: int) -> None:
    table = rows(text)
    assert len(table) == figures
    for row in table:
        assert len(row) == 7
        low, high = (number(part) for part in row[3].split(" - "))
        assert low <= number(row[2]) <= high
        # What a job adds is the difference of two times, of which a loaded machine can make anything.
        assert low > 0 or row[0].startswith("one more job")


def test_the_best_target_that_the_median_reaches_is_named():
    def reached(value: float, **targets: float) -> str:
        return Figure("f", "x", [value, value / 10, value * 10], **targets).reached

    assert [reached(v, at_least=5, aim=10) for v in (4, 5, 10)] == ["no", "at least", "aim"]
    assert [reached(v, at_least=10, aim=5, lower_is_better=True) for v in (11, 10, 5)] == [
        "no",
        "at least",
        "aim",
    ]
    assert reached(1) == ""


def test_rates_count_steps_over_time_and_ratios_pair_repetitions():
    calls = []

    def work() -> int:
        calls.append(1)
        return 3

    per_second = rate(work, 0.02)
    assert per_second <= 3 * len(calls) / 0.02
    rates = race({"ours": work, "peer a": lambda: 1, "peer b": lambda: 2}, MINIATURE)
    assert {name: len(values) for name, values in rates.items()} == {"ours": 2, "peer a": 2, "peer b": 2}
    assert ratios({"a": [6.0, 8.0], "b": [2.0, 4.0]}, "a", "b") == [3.0, 2.0]
    assert fastest({"x 1": [1.0, 9.0, 2.0], "x 2": [3.0, 3.0, 3.0], "y": [50.0]}, "x") == "x 2"


def test_a_page_says_where_when_and_with_what():
    facts = machine()
    text = page({"group": [Figure("speed", "steps/s", [1_500_000.0, 2_500_000.0], 1e6, 3e6)]}, facts)
    assert all(f"- {fact}" in text for fact in facts)
    assert any(re.search(r"numpy \d", fact) for fact in facts)
    assert any(re.search(r"\d{4}-\d\d-\d\d", fact) for fact in facts)
    assert rows(text) == [
        ["speed", "steps/s", "**2.00 M**", "1.50 M - 2.50 M", "1.00 M", "3.00 M", "at least"]
    ]


@pytest.mark.parametrize(
    ("name", "figures"), quick_first([("env", 3), ("engine", 3), ("policy", 4), ("campaign", 4)], 2)
)
def test_benchmarks_without_a_peer(name: str, figures: int):
    measured = importlib.import_module(f"benchmarks.{name}").measure(MINIATURE)
    check(page({name: measured}, machine()), figures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figures"), [("startup", 5), ("sweep", 3), ("a2c", 6), ("dqn", 7), ("cluster", 6), ("gates", 21)]
)
def test_the_command_writes_the_table(name: str, figures: int, tmp_path: Path):
    out = tmp_path / "results.md"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    text = out.read_text(encoding="utf-8")
    assert f"## {name}\n" in text
    assert "--quick" in text
    check(text, figures)


@pytest.mark.slow
def test_campaigns_under_fire_in_miniature(tmp_path: Path):
    out = tmp_path / "faults.md"
    command = [sys.executable, "-m", "benchmarks.faults", "--kills", "3", "--faults", "10", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    cells = [line.strip("| ").split(" | ") for line in out.read_text("utf-8").splitlines() if "|" in line]
    counts = {row[0]: row[1:] for row in cells}
    assert counts["kills (SIGKILL)"] == ["3", "0"]
    assert int(counts["faults"][1]) >= 10
    wrong = [name for name in counts if name.startswith("**")]
    assert len(wrong) == 6
    assert all(counts[name] == ["0", "0"] for name in wrong)


def test_an_unknown_name_is_refused():
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark is called speed" in done.stderr


@pytest.mark.slow
def test_the_peer_gets_the_same_episodes_reset_within_the_step(qce25):
    pytest.importorskip("stable_baselines3", reason="the bench extra is not installed")
    from benchmarks.sb3_peer import LockstepVecEnv
    from qexp.placement.vector_env import PlacementVectorEnv

    ours, theirs = PlacementVectorEnv(qce25, 3), LockstepVecEnv(PlacementVectorEnv(qce25, 3))
    seen, _ = ours.reset(seed=0)
    given = theirs.reset()
    for step in range(2 * qce25.tasks):
        assert all(np.array_equal(seen[key], given[key]) for key in seen)
        actions = seen["action_mask"].argmax(axis=1)
        seen, rewards, terminated, _, _ = ours.step(actions)
        given, their_rewards, done, _ = theirs.step(actions)
        assert np.allclose(rewards, their_rewards)
        assert np.array_equal(terminated, done)
        assert done.all() == ((step + 1) % qce25.tasks == 0)
        if done.all():
            seen, *_ = ours.step(actions)
