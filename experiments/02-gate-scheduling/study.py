"""The study behind the project's figures on scheduling gates.

``python experiments/02-gate-scheduling/study.py [--jobs 1] [--only NAME ...]``

Every training is one ``python -m qexp`` command; one whose result is there already is not repeated. Policies
and schedulers then meet the same circuits, none of them seen in training. The tables and the figure are made
from what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qexp.gates.circuit import checked_circuit
from qexp.gates.circuits.basic import Basic
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.gate_scheduling import GateScheduling
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.schedule import makespan
from qexp.gates.schedulers.alap import ALAP
from qexp.gates.schedulers.asap import ASAP
from qexp.gates.schedulers.cp_sat import CPSAT
from qexp.gates.schedulers.critical_path import CriticalPath
from qexp.gates.schedulers.list_scheduling import alap, asap, critical_path, randomised_critical_path
from qexp.gates.schedulers.optimum import optimum
from qexp.gates.schedulers.randomised_critical_path import RandomisedCriticalPath
from qexp.gates.tables import MachineTables
from qexp.policy import load_policy
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.report.table import Column, Table
from qexp.stages.evaluation import evaluate

WORDS = partial(Column, words=True)
HERE = Path(__file__).resolve().parent
RUNS = Path("outputs/studies/02-gate-scheduling")
COMMON = (
    "env=gate_scheduling",
    "tracking=off",
    "plots=false",
    "eval.episodes=1",
    "eval.baselines=[critical_path]",
)
# Circuits and rules: what training sets, and how an evaluation makes circuits of so many gates.
FAMILIES = {
    "basic": (("env/circuits=basic", "env.rulebook=default"), Basic, "default"),
    "workshop": (("env.rulebook=default",), Workshop, "default"),
    "workshop_cnot": ((), Workshop, "cnot"),
}
ALGORITHMS = {"a2c": ("algo=a2c", "algo.env_steps=600_000"), "dqn": ("algo=dqn", "algo.env_steps=200_000")}
TRAININGS = {
    f"{algo}-{family}-seed{seed}": (*ALGORITHMS[algo], f"seed={seed}", *FAMILIES[family][0])
    for algo in ALGORITHMS
    for family in FAMILIES
    # Two seeds where the figures of the README come from.
    for seed in ((0, 1) if family == "workshop_cnot" else (0,))
}
SIZES = {"20 to 30": (20, 30), "20": (20, 20), "50": (50, 50), "100": (100, 100)}
CIRCUITS = 200
EVALUATION_SEED = 2024
SCHEDULERS = {
    "cp_sat": CPSAT,
    "randomised_critical_path": RandomisedCriticalPath,
    "critical_path": CriticalPath,
    "alap": ALAP,
    "asap": ASAP,
}
LEARNED = {"a2c": "#d55e00", "dqn": "#0072b2"}
EXAMPLES = {
    "measure 0, measure 1, x 1": [("measure", 0, 0), ("measure", 1, 1), ("x", 1, 1)],
    "x 0, measure 0, measure 1, x 1": [("x", 0, 0), ("measure", 0, 0), ("measure", 1, 1), ("x", 1, 1)],
}


def train(name: str) -> None:
    """Train one policy, unless it is there."""
    folder = RUNS / name
    if (folder / "result.json").is_file():
        return
    command = [sys.executable, "-m", "qexp", *COMMON, *TRAININGS[name], f"hydra.run.dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"{name}: exit {done.returncode} {done.stderr[-2000:]}", flush=True)


def policies(family: str) -> dict[str, PolicyScheduler]:
    """Return the trained policies of a family of circuits."""
    names = [name for name in TRAININGS if name.split("-")[1] == family]
    return {
        name: PolicyScheduler(path=str(RUNS / name)) for name in names if (RUNS / name / "policy").is_dir()
    }


def measured(family: str, size: str) -> pd.DataFrame:
    """Return a row per scheduler and circuit; what was measured before is kept."""
    shortest, longest = SIZES[size]
    _, circuits, rulebook = FAMILIES[family]
    scenario = GateScheduling(circuits=circuits(min_gates=shortest, max_gates=longest), rulebook=rulebook)
    file = RUNS / f"{family}-{size.replace(' ', '')}.csv"
    known = pd.read_csv(file) if file.is_file() else pd.DataFrame({"scheduler": []})
    parts = [known]
    for name, scheduler in {**{key: cls() for key, cls in SCHEDULERS.items()}, **policies(family)}.items():
        if name in set(known["scheduler"]):
            continue
        begin = time.process_time()
        rows = evaluate(scenario, {name: scheduler}, episodes=CIRCUITS, seed=EVALUATION_SEED).episodes
        rows["cpu_seconds"] = (time.process_time() - begin) / CIRCUITS
        parts.append(rows)
        print(f"{family} {size} {name}: {rows['makespan'].mean():.2f} cycles", flush=True)
    everything = pd.concat([part for part in parts if len(part)], ignore_index=True)
    everything.to_csv(file, index=False)
    return everything


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of the mean: percentiles of 10,000 bootstrap samples."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(10_000, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def summary(family: str, size: str, rows: pd.DataFrame) -> Iterator[dict]:
    """Return a row per scheduler: makespan over optimum, and the change against critical_path."""
    wide = rows.pivot_table(index="episode", columns="scheduler", values="makespan")
    best = rows[rows["scheduler"] == "cp_sat"].set_index("episode")
    proved = float((best["makespan"] <= best["bound"]).mean())
    for name in wide:
        ratio = (wide[name] / wide["cp_sat"]).to_numpy()
        change = 100 * (wide[name] / wide["critical_path"] - 1).to_numpy()
        low, high = interval(ratio)
        change_low, change_high = interval(change)
        yield {
            "circuits": family,
            "gates": size,
            "scheduler": name,
            "episodes": len(ratio),
            "makespan": wide[name].mean(),
            "over_optimum": ratio.mean(),
            "over_optimum_low": low,
            "over_optimum_high": high,
            "vs_critical_path_pct": change.mean(),
            "vs_critical_path_low_pct": change_low,
            "vs_critical_path_high_pct": change_high,
            "optimal_share": float((ratio == 1).mean()),
            "proved_share": proved,
            "cpu_seconds": rows[rows["scheduler"] == name]["cpu_seconds"].mean(),
        }


def ordered(names: list[str]) -> list[str]:
    """Return schedulers as the tables list them."""
    return [*SCHEDULERS, *sorted(name for name in names if name not in SCHEDULERS)]


def ratios(results: pd.DataFrame) -> str:
    """Return makespan over optimum as Markdown: a row per circuits and scheduler, a column per size."""
    rows = []
    for family in FAMILIES:
        mine = results[results["circuits"] == family]
        for name in ordered(mine["scheduler"].unique().tolist()):
            row = {"circuits": family, "scheduler": name.replace(f"-{family}", "")}
            for its in mine[mine["scheduler"] == name].to_dict("records"):
                width = (its["over_optimum_high"] - its["over_optimum_low"]) / 2
                row[its["gates"]] = f"{its['over_optimum']:.4f} ± {width:.4f}"
            rows.append(row)
    columns = [WORDS("circuits"), WORDS("scheduler"), *(Column(size, f"{size} gates") for size in SIZES)]
    return Table("", columns, rows).markdown()


def changes(results: pd.DataFrame) -> str:
    """Return what learned policies change against critical_path, as Markdown."""
    rows = []
    for row in results[~results["scheduler"].isin(SCHEDULERS)].to_dict("records"):
        same = (results["circuits"] == row["circuits"]) & (results["gates"] == row["gates"])
        other = results[same & (results["scheduler"] == "critical_path")].iloc[0]
        policy = row["scheduler"].replace(f"-{row['circuits']}", "")
        optimal = {"optimal": 100 * row["optimal_share"], "theirs": 100 * other["optimal_share"]}
        rows.append(row | {"policy": policy} | optimal)
    change, whole = "{:+.2f}".format, "{:.0f}".format
    columns = [
        WORDS("circuits"),
        Column("gates"),
        WORDS("policy"),
        Column("vs_critical_path_pct", "vs critical_path", "%", change),
        Column(("vs_critical_path_low_pct", "vs_critical_path_high_pct"), "95 % interval", format=change),
        Column("optimal", unit="%", format=whole),
        Column("theirs", "critical_path's", format=whole),
    ]
    return Table("", columns, rows).markdown()


def trainings() -> str:
    """Return how long the trainings took, as Markdown."""
    rows = []
    for name in TRAININGS:
        file = RUNS / name / "result.json"
        if file.is_file():
            training = json.loads(file.read_text(encoding="utf-8"))["training"]
            rows.append(
                {
                    "policy": name,
                    "decisions": training["env_steps"] / 1e6,
                    "minutes": training["seconds"] / 60,
                }
            )
    columns = [
        WORDS("policy"),
        Column("decisions", format="{:.2g} M".format),
        Column("minutes", format="{:.1f}".format),
    ]
    return Table("", columns, rows).markdown()


def effort(results: pd.DataFrame) -> str:
    """Return the milliseconds of one core that a circuit takes, as Markdown."""
    mine = results[results["circuits"] == "workshop_cnot"]
    rows = []
    for name in ordered(mine["scheduler"].unique().tolist()):
        seconds = mine[mine["scheduler"] == name].set_index("gates")["cpu_seconds"]
        rows.append({"scheduler": name.replace("-workshop_cnot", "")} | (1000 * seconds).to_dict())
    sizes = (Column(size, f"{size} gates", format="{:.1f}".format) for size in SIZES)
    return Table("", [WORDS("scheduler"), *sizes], rows).markdown()


def examples() -> str:
    """Return the makespans of two small circuits whose optimum needs waiting, as Markdown."""
    tables = MachineTables.of(MachineProperties.from_file("workshop5"))
    lists = {
        schedule.__name__: schedule for schedule in (asap, alap, critical_path, randomised_critical_path)
    }
    learned = {name: load_policy(RUNS / name) for name in policies("workshop")}
    rows = []
    for name, circuit in EXAMPLES.items():
        problem = Problem.of(tables, checked_circuit(circuit, tables), CommutationRulebook())
        row = {"circuit": name, "optimum": optimum(problem).makespan}
        row |= {head: makespan(problem, schedule(problem)) for head, schedule in lists.items()}
        rows.append(row | {key: makespan(problem, policy.starts(problem)) for key, policy in learned.items()})
    columns = [
        WORDS("circuit"),
        *(Column(head) for head in ("optimum", *lists)),
        *(Column(key, key.split("-")[0]) for key in learned),
    ]
    return Table("", columns, rows).markdown()


def figure(results: pd.DataFrame, path: Path) -> None:
    """Draw makespan over optimum against the number of gates, a panel for each family of circuits."""
    picture = Figure(figsize=(10, 4.1), dpi=200, layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots(1, len(FAMILIES), sharey=True)
    sizes = ["20", "50", "100"]
    for panel, family in zip(axes, FAMILIES, strict=True):
        mine = results[results["circuits"] == family]
        for shift, name in enumerate(ordered(mine["scheduler"].unique().tolist())[1:]):
            rows = mine[mine["scheduler"] == name].set_index("gates").reindex(sizes)
            algorithm, seed = name.split("-")[0], name.split("-")[-1]
            colour = LEARNED.get(algorithm, str(0.2 + 0.15 * shift))
            spread = [
                rows["over_optimum"] - rows["over_optimum_low"],
                rows["over_optimum_high"] - rows["over_optimum"],
            ]
            panel.errorbar(
                np.arange(3) + 0.04 * (shift - 3),
                rows["over_optimum"],
                spread,
                color=colour,
                linestyle="--" if algorithm not in LEARNED else ":" if seed == "seed1" else "-",
                marker="o",
                markersize=3,
                linewidth=1.2,
                label=name.replace(f"-{family}", ""),
            )
        panel.set_title(
            family.replace("_", ", with the rule for ") if "cnot" in family else family, fontsize=10
        )
        panel.set_xticks(np.arange(3), sizes)
        panel.set_xlabel("gates")
        panel.grid(color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("makespan over optimum")
    handles = dict(zip(*reversed(axes[-1].get_legend_handles_labels()), strict=True))
    picture.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    picture.savefig(path)


def main() -> None:
    """Train what is missing, measure, then write results.csv, tables.md and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--only", nargs="*", default=list(TRAININGS), help="names of trainings")
    options = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(train, options.only))
    rows = [
        row for family in FAMILIES for size in SIZES for row in summary(family, size, measured(family, size))
    ]
    results = pd.DataFrame(rows)
    results.round(5).to_csv(HERE / "results.csv", index=False)
    tables = [ratios(results), changes(results), trainings(), effort(results), examples()]
    (HERE / "tables.md").write_text("\n".join(tables), encoding="utf-8")
    figure(results, HERE / "makespans.png")


if __name__ == "__main__":
    main()
