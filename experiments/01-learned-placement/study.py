"""The study behind the project's figures on learned placement.

``python experiments/01-learned-placement/study.py [--jobs 2] [--only NAME ...]``

Every run is one ``python -m qexp`` command. A run whose result is there already is not repeated, so the study
can be interrupted and started again; the tables and the figure are made from what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qexp.report.table import Column, Table

HERE = Path(__file__).resolve().parent
RUNS = Path("outputs/studies/01-learned-placement")
COMMON = (
    "env.tasks=25",
    "eval.episodes=1000",
    # One set of unseen episodes for every run of the study.
    "eval.seed=2024",
    "eval.baselines=[mct,weighted,clairvoyant]",
    "plots=false",
    "tracking=off",
)
FLAT = "flat.py"
"""Marks runs that another script makes, see there."""
FIVE, THREE = range(5), range(3)
SHORT = "algo.env_steps=300_000"
STUDY: dict[str, tuple[range, tuple[str, ...]]] = {
    "a2c": (FIVE, ("algo=a2c",)),
    "dqn": (FIVE, ("algo=dqn",)),
    "a2c, 100k steps": (FIVE, ("algo=a2c", "algo.env_steps=100_000")),
    "dqn, 100k steps": (FIVE, ("algo=dqn", "algo.env_steps=100_000")),
    "a2c, no prior": (THREE, ("algo=a2c", "algo.prior=0")),
    "a2c, reward inverse": (THREE, ("algo=a2c", "env/reward=inverse")),
    "a2c, flat observation": (THREE, ("algo=a2c", FLAT)),
    "a2c, flat observation, logarithms": (THREE, ("algo=a2c", FLAT, "--scaled")),
    "dqn, 300k steps": (THREE, ("algo=dqn", SHORT)),
    "dqn, no double": (THREE, ("algo=dqn", SHORT, "algo.double=false")),
    "dqn, no dueling": (THREE, ("algo=dqn", SHORT, "algo.dueling=false")),
    "dqn, no priorities": (THREE, ("algo=dqn", SHORT, "algo.prioritized=false")),
    "dqn, one step": (THREE, ("algo=dqn", SHORT, "algo.n_step=1")),
    "dqn, distributional": (THREE, ("algo=dqn", SHORT, "algo.distributional=true")),
    "dqn, noisy": (THREE, ("algo=dqn", SHORT, "algo.noisy=true")),
    "dqn, no prior": (THREE, ("algo=dqn", SHORT, "algo.prior=0")),
}


def folder(name: str, seed: int) -> Path:
    """Return the run folder of one run."""
    return RUNS / name.replace(", ", "-").replace(" ", "_") / f"seed{seed}"


def result(name: str, seed: int) -> dict | None:
    """Return a finished run's result, or None."""
    path = folder(name, seed) / "result.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found["status"] == "COMPLETED" else None


def run(name: str, seed: int) -> None:
    """Run one configuration with one seed, unless it is done."""
    if result(name, seed) is not None:
        return
    overrides = (*COMMON, *STUDY[name][1])
    command = ["-m", "qexp", *overrides, f"seed={seed}", f"hydra.run.dir={folder(name, seed)}"]
    if FLAT in overrides:
        mine = (part for part in overrides if part != FLAT)
        command = [str(HERE / FLAT), str(folder(name, seed)), str(seed), *mine]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or ["no output"])[-2:]
    print(f"{name}, seed {seed}: exit {done.returncode}: {' '.join(last)}{done.stderr[-2000:]}", flush=True)


def collect() -> pd.DataFrame:
    """Return one row per finished run."""
    rows = []
    for name, (seeds, overrides) in STUDY.items():
        for seed in seeds:
            found = result(name, seed)
            if found is None:
                continue
            board = {row["scheduler"]: row for row in found["leaderboard"]}
            learned = board["a2c" if "algo=a2c" in overrides else "dqn"]
            keys = ("vs_mct_pct", "vs_mct_ci_low_pct", "vs_mct_ci_high_pct", "win_rate_vs_mct", "gap_closed")
            rows.append(
                {"name": name, "seed": seed, "episodes": learned["episodes"]}
                | {key: found["training"][key] for key in ("env_steps", "seconds")}
                | {"total_completion_time": learned["total_completion_time_mean"]}
                | {"mct": board["mct"]["total_completion_time_mean"]}
                | {key: learned[key] for key in keys}
                | {"reschedules": learned["reschedules_mean"], "git_commit": found["git_commit"]}
            )
    return pd.DataFrame(rows)


def table(results: pd.DataFrame) -> str:
    """Return the results over seeds as Markdown."""
    rows = []
    for name in STUDY:
        mine = results[results["name"] == name]
        if mine.empty:
            continue
        spread = mine["vs_mct_pct"].std(ddof=1) if len(mine) > 1 else np.nan
        worst = mine.loc[mine["vs_mct_pct"].idxmax()]
        rows.append(
            {"name": name, "seeds": len(mine), "decisions": mine["env_steps"].median() / 1e6}
            | {"minutes": mine["seconds"].median() / 60, "gap_closed": mine["gap_closed"].mean()}
            | {"vs_mct": f"{mine['vs_mct_pct'].mean():+.1f} (sd {spread:.1f})"}
            | {"worst": worst["vs_mct_pct"], "limit": worst["vs_mct_ci_high_pct"]}
        )
    columns = [
        Column("name", "run", words=True),
        Column("seeds"),
        Column("decisions", format="{:.2g} M".format),
        Column("minutes", format="{:.1f}".format),
        Column("vs_mct", "vs mct", "%"),
        Column("worst", "worst seed", "%", "{:+.1f}".format),
        Column("limit", "its upper limit", format="{:+.1f}".format),
        Column("gap_closed", "gap closed", format="{:.2f}".format),
    ]
    return Table("", columns, rows).markdown()


def learning_curves(path: Path) -> None:
    """Draw total completion time in training against decisions: mean and range over seeds."""
    figure = Figure(figsize=(9, 4.2), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in (("a2c", "#d55e00"), ("a2c, no prior", "#e69f00"), ("dqn", "#0072b2")):
        curves = []
        for seed in STUDY[name][0]:
            file = folder(name, seed) / "training.csv"
            if not file.is_file():
                continue
            rows = pd.read_csv(file).dropna(subset=["episode_total_completion_time_mean"])
            smooth = (
                rows["episode_total_completion_time_mean"]
                .rolling(max(1, len(rows) // 40), min_periods=1)
                .mean()
            )
            grid = np.linspace(0, rows["env_steps"].max(), 200)
            curves.append(np.interp(grid, rows["env_steps"], smooth))
        if curves:
            band = np.array(curves)
            axes.plot(grid / 1e6, band.mean(axis=0), color=colour, label=f"{name} ({len(curves)} seeds)")
            axes.fill_between(
                grid / 1e6, band.min(axis=0), band.max(axis=0), color=colour, alpha=0.2, linewidth=0
            )
    first = result("a2c", 0)
    for row in first["leaderboard"] if first else []:
        if row["scheduler"] in {"mct", "clairvoyant"}:
            level = row["total_completion_time_mean"]
            axes.axhline(level, color="0.4", linestyle="--", linewidth=1)
            axes.text(0.99, level + 3, row["scheduler"], transform=axes.get_yaxis_transform(), ha="right")
    axes.set(xlabel="decisions (million)", ylabel="total completion time\nper training episode (s)")
    axes.set_ylim(500, 900)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)


def utilisation() -> str:
    """Return what mct and the learned policy do differently, per machine, as Markdown."""
    file = folder("a2c", 0) / "tasks.csv"
    if not file.is_file():
        return ""
    tasks = pd.read_csv(file)
    means = {"width": "qubits", "service": "s", "wait": "s"}
    rows = []
    for scheduler in ("mct", "a2c", "clairvoyant"):
        mine = tasks[tasks["scheduler"] == scheduler]
        rows += [
            {"scheduler": scheduler, "node": node, "share": 100 * len(its) / len(mine)}
            | its[list(means)].mean().to_dict()
            for node, its in mine.groupby("node", sort=False)
        ]
    columns = [
        Column("scheduler", "", words=True),
        Column("node", "machine", words=True),
        Column("share", "share of tasks", "%", "{:.0f}".format),
        *(Column(key, f"mean {key}", unit, "{:.1f}".format) for key, unit in means.items()),
    ]
    return Table("", columns, rows).markdown()


def main() -> None:
    """Run what is missing, then write results.csv, tables.md and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--only", nargs="*", default=list(STUDY), help="names of runs")
    options = parser.parse_args()
    wanted = [(name, seed) for name in options.only for seed in STUDY[name][0]]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: run(*job), wanted))
    results = collect()
    results.round(4).to_csv(HERE / "results.csv", index=False)
    (HERE / "tables.md").write_text(f"{table(results)}\n{utilisation()}", encoding="utf-8")
    learning_curves(HERE / "learning_curves.png")
    print(table(results))


if __name__ == "__main__":
    main()
