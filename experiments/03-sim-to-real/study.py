"""How far is simulation from measurement, and does it rank schedulers rightly?

``python experiments/03-sim-to-real/study.py [--only NAME ...]``

Every campaign is one ``python -m qexp`` command; one whose result is there already is not repeated, one that
was cut off is resumed; ``--only`` without a name runs none. ``results.csv``, ``tables.md`` and the
figures are made of what is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
RUNS = Path("outputs/studies/03-sim-to-real")
COMMON = (
    *("algo=a2c", "env.tasks=25", "env.workload.max_width=8", "env.arrivals.window=20", "seed=0"),
    *("eval.seed=2024", "eval.episodes=300", "eval.baselines=[mct,least_busy,fidelity,weighted,clairvoyant]"),
    *("deploy=local", "deploy.tasks=200", "deploy.schedulers=[mct,least_busy,weighted,policy]"),
    "tracking=off",
)
CAMPAIGNS = {
    "clops_depth": ("env/service_time=clops_depth",),
    "repetition_delay": ("env/service_time=repetition_delay",),
}
"""What predicts service times, and so what schedulers believe."""


def run(name: str) -> None:
    """Run one campaign, unless it is done."""
    folder = RUNS / name
    if result(name) is not None:
        return
    overrides = [*COMMON, *CAMPAIGNS[name], f"hydra.run.dir={folder}"]
    if (folder / "run.json").exists():
        overrides = [f"resume={folder}"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.log").open("a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "qexp", *overrides]
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    print(f"{name}: exit {done.returncode}, output in {log.name}", flush=True)


def result(name: str) -> dict | None:
    """Return a finished campaign's result, or None."""
    path = RUNS / name / "result.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"status": ""}
    return found if found["status"] == "COMPLETED" else None


def collect() -> pd.DataFrame:
    """Return one row per campaign and scheduler."""
    rows = []
    for name in CAMPAIGNS:
        found = result(name)
        if found is None:
            continue
        gap = json.loads((RUNS / name / "gap.json").read_text(encoding="utf-8"))
        board = {row["scheduler"]: row for row in found["leaderboard"]}
        for row in gap["schedulers"]:
            if row["measured"] is None:
                continue
            rows.append(
                {"predicted_by": name}
                | row
                | {"evaluated_vs_mct_pct": board[row["scheduler"]]["vs_mct_pct"]}
                | {"git_commit": found["git_commit"]}
            )
    return pd.DataFrame(rows)


def tables() -> str:
    """Return the campaigns' reports as the command prints them."""
    parts = []
    for name in CAMPAIGNS:
        if result(name) is None:
            continue
        command = [sys.executable, "-m", "qexp.gap", str(RUNS / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = done.stdout.partition("written:")[0].rstrip()
        parts.append(f"## Service times predicted by {name}\n\n```\n{report}\n```\n")
    head = "# What the reports say\n\nMade by `study.py`; the same as in each run's report.html.\n\n"
    return head + "\n".join(parts)


def main() -> None:
    """Run what is missing, then make the tables and take the figures over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(CAMPAIGNS), default=list(CAMPAIGNS))
    for name in parser.parse_args().only:
        run(name)
    (HERE / "tables.md").write_text(tables(), encoding="utf-8")  # makes every report again, read next
    results = collect()
    results.to_csv(HERE / "results.csv", index=False, float_format="%.4f")
    for name in CAMPAIGNS:
        for figure in ("gap_decomposition", "gap_schedulers"):
            drawn = RUNS / name / "plots" / f"{figure}.png"
            if drawn.is_file():
                shutil.copy(drawn, HERE / f"{name}-{figure}.png")
    print(results.to_string())


if __name__ == "__main__":
    main()
