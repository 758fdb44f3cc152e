"""What it is worth that tasks left are counted per machine.

``python experiments/03-sim-to-real/causes.py``, after transfer.py, whose policies and fleets it takes.

A policy is told how many tasks of the episode are left for every five machines. Here the same weights decide
on the same episodes twice: told that, and told how many are left in all, which is the same on the fleet of
the training and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from transfer import FLEETS, HERE, TRAINED, folder, problem, result

from qexp.placement.features import SHARED_BY
from qexp.placement.schedulers.mct import MCT
from qexp.placement.state import NodeState, TaskState
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.report.leaderboard import leaderboard
from qexp.report.table import Column, Table
from qexp.stages.evaluation import evaluate

DECISIONS = 4000
"""At least so many for each policy, and five episodes."""


@dataclass
class ToldInAll(PolicyScheduler):
    """A policy that hears how many tasks are left in all, as if there were five machines for them."""

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the node the policy scores highest."""
        left = task.remaining * len(nodes.free_at) / float(SHARED_BY)
        return super().select(replace(task, remaining=left), nodes)


def compare(fleet: str, name: str, seed: int) -> list[dict]:
    """Return one row for each way of telling a policy the number of tasks left."""
    path = str(folder(name, seed=seed))
    schedulers = {
        "per machine": PolicyScheduler(path=path),
        "in all": ToldInAll(path=path),
        "mct": MCT(),
    }
    scenario = problem(folder(fleet, name, seed=seed))
    episodes = max(5, DECISIONS // scenario.tasks)
    measured = evaluate(scenario, schedulers, episodes=episodes, seed=2024)
    rows = leaderboard(measured.episodes, measured.metric, seed=2024)
    return [
        {
            "fleet": fleet,
            "trained": name,
            "seed": seed,
            "told": row.scheduler,
            "episodes": row.episodes,
            "vs_mct_pct": row.change_pct,
            "vs_mct_ci_low_pct": row.change_ci_low_pct,
            "vs_mct_ci_high_pct": row.change_ci_high_pct,
        }
        for row in sorted(rows, key=lambda row: list(schedulers).index(row.scheduler))
        if row.scheduler != "mct"
    ]


def table(results: pd.DataFrame) -> str:
    """Return the comparison as Markdown."""
    columns = [
        Column("fleet", "fleet, load", words=True),
        Column("policy", "trained", words=True),
        Column("told", "tasks left", words=True),
        Column("episodes"),
        Column("vs_mct_pct", "vs mct", "%", "{:+.1f}".format),
        Column(("vs_mct_ci_low_pct", "vs_mct_ci_high_pct"), "95 % interval", format="{:+.1f}".format),
    ]
    named = results.assign(policy=[f"{row.trained}, seed {row.seed}" for row in results.itertuples()])
    return Table("", columns, named.to_dict("records")).markdown()


def main() -> None:
    """Compare on every other fleet than that of the training; write causes.csv and causes_tables.md."""
    rows: list[dict] = []
    for fleet in FLEETS:
        for name in TRAINED:
            found = result(folder(fleet, name, seed=0))
            if found is not None and not fleet.startswith("qce5"):
                rows += compare(fleet, name, 0)
                print(table(pd.DataFrame(rows[-2:])), flush=True)
    results = pd.DataFrame(rows)
    results.round(4).to_csv(Path(HERE, "causes.csv"), index=False)
    Path(HERE, "causes_tables.md").write_text(table(results), encoding="utf-8")


if __name__ == "__main__":
    main()
