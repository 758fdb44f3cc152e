"""Does a policy trained on one fleet place well on others?

``python experiments/03-sim-to-real/transfer.py [--only NAME ...]``

Trains on five machines, and over random fleets like those; evaluates every policy as it is on other fleets,
beside minimum completion time on the same episodes. Every run is one ``python -m qexp`` command; one whose
result is there already is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from qexp.config.build import make
from qexp.fleet.fleet import FleetSource
from qexp.placement.placement import Placement
from qexp.report.table import Column, Table

HERE = Path(__file__).resolve().parent
RUNS = Path("outputs/studies/03-sim-to-real/transfer")
# One set of unseen episodes for every run.
COMMON = ("eval.seed=2024", "eval.baselines=[mct]", "plots=false", "tracking=off")
TRAINED: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "a2c": ((0, 1), ("algo=a2c",)),
    "a2c, random fleets": ((0, 1), ("algo=a2c", "algo.fleet_randomisation=true")),
    "dqn": ((0,), ("algo=dqn",)),
}
# All tasks arrive within a minute. Five for each machine, as many as in training, and other loads.
FLEETS: dict[str, tuple[int, tuple[str, ...]]] = {
    "qce5, 25 tasks": (1000, ("backend=qce5",)),
    "ibm13, 25 tasks": (500, ("backend=ibm13",)),
    "ibm13, 65 tasks": (300, ("backend=ibm13", "env.tasks=65")),
    "heron, 500 tasks": (100, ("backend=heron", "env.tasks=500")),
    "heron, 1000 tasks": (100, ("backend=heron", "env.tasks=1000")),
    "synthetic20, 100 tasks": (300, ("backend=synthetic", "backend.machines=20", "env.tasks=100")),
    "synthetic200, 1000 tasks": (100, ("backend=synthetic", "env.tasks=1000")),
}
WINDOW = 60.0
"""Seconds in which tasks arrive."""


def folder(*names: str, seed: int) -> Path:
    """Return the folder of one run: of a training, or on a fleet with its policy."""
    return RUNS.joinpath(*(name.replace(", ", "-").replace(" ", "_") for name in names), f"seed{seed}")


def result(path: Path) -> dict | None:
    """Return a finished run's result, or None."""
    if not (path / "result.json").is_file():
        return None
    found = json.loads((path / "result.json").read_text(encoding="utf-8"))
    return found if found["status"] == "COMPLETED" else None


def run(path: Path, *overrides: str) -> None:
    """Run one configuration, unless it is done."""
    if result(path) is None:
        command = [sys.executable, "-m", "qexp", *overrides, *COMMON, f"hydra.run.dir={path}"]
        # The network is small: several threads per product only wait for each other.
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        last = (done.stdout.strip().splitlines() or ["no output"])[-2:]
        print(f"{path}: exit {done.returncode}: {' '.join(last)}{done.stderr[-2000:]}", flush=True)


def load(path: Path) -> dict[str, float]:
    """Return how busy a fleet is under mct: over the arrivals' minute, and what tasks wait (s)."""
    columns = ["scheduler", "episode", "start", "finish", "wait"]
    tasks = pd.read_csv(path / "tasks.csv", usecols=columns).query("scheduler == 'mct'")
    busy = (np.minimum(tasks["finish"], WINDOW) - np.minimum(tasks["start"], WINDOW)).sum()
    machines = len(problem(path).fleet)
    return {
        "machines": machines,
        "utilisation": busy / (WINDOW * machines * tasks["episode"].nunique()),
        "share_waiting": (tasks["wait"] > 0).mean(),
        "mean_wait": tasks["wait"].mean(),
    }


def problem(path: Path) -> Placement:
    """Return the placement problem of a run."""
    config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    return make(config["env"], Placement, fleet=make(config["backend"], FleetSource).load())


def collect() -> pd.DataFrame:
    """Return one row per finished evaluation."""
    rows = []
    for fleet, (_, overrides) in FLEETS.items():
        busy: dict[str, float] = {}
        for name, (seeds, _) in TRAINED.items():
            for seed in seeds:
                found = result(folder(fleet, name, seed=seed))
                if found is None:
                    continue
                busy = busy or load(folder(fleet, name, seed=seed))
                board = {row["scheduler"]: row for row in found["leaderboard"]}
                learned = board["policy"]
                keys = ("vs_mct_pct", "vs_mct_ci_low_pct", "vs_mct_ci_high_pct", "win_rate_vs_mct")
                rows.append(
                    {"fleet": fleet, "trained": name, "seed": seed, "episodes": learned["episodes"]}
                    | {key: learned[key] for key in keys}
                    | {"total_completion_time": learned["total_completion_time_mean"]}
                    | {"mct": board["mct"]["total_completion_time_mean"]}
                    | busy
                    | {"command": " ".join(overrides), "git_commit": found["git_commit"]}
                )
    return pd.DataFrame(rows)


def table(results: pd.DataFrame) -> str:
    """Return the loads, and the results of every policy, as Markdown."""
    share, tenths, change = "{:.0%}".format, "{:.1f}".format, "{:+.1f}".format
    fleet = Column("fleet", "fleet, load", words=True)
    loads = [
        fleet,
        Column("machines"),
        Column("utilisation", format=share),
        Column("share_waiting", "tasks that wait", format=share),
        Column("mean_wait", "mean wait", "s", tenths),
        Column("episodes"),
    ]
    policies = [
        fleet,
        Column("trained", words=True),
        Column("seed"),
        Column("vs_mct_pct", "vs mct", "%", change),
        Column(("vs_mct_ci_low_pct", "vs_mct_ci_high_pct"), "95 % interval", format=change),
        Column("win_rate_vs_mct", "wins vs mct", format=share),
    ]
    tables = (
        Table("", loads, results.drop_duplicates("fleet").to_dict("records")),
        Table("", policies, results.to_dict("records")),
    )
    return "\n".join(table.markdown() for table in tables)


def main() -> None:
    """Run what is missing, then write transfer.csv and the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(TRAINED), help="names of training runs")
    jobs = [(seed, name) for name in parser.parse_args().only for seed in TRAINED[name][0]]
    for seed, name in sorted(jobs, key=lambda job: job[0]):
        run(folder(name, seed=seed), *TRAINED[name][1], f"seed={seed}", "eval.episodes=100")
        for fleet, (episodes, where) in FLEETS.items():
            policy = ("scheduler=policy", f"scheduler.path={folder(name, seed=seed)}")
            run(folder(fleet, name, seed=seed), *policy, *where, f"eval.episodes={episodes}")
    results = collect()
    results.round(4).to_csv(HERE / "transfer.csv", index=False)
    (HERE / "transfer_tables.md").write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
