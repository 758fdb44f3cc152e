"""Why policies fail on some fleets: what they do when the tasks left are counted per machine.

``python experiments/03-sim-to-real/causes.py``, after transfer.py, whose policies and fleets it takes.

A policy sees how many tasks of the episode are left, but not how many machines there are for them: all that
it sees of the fleet as a whole are means and maxima. In training there were 25 tasks and five machines. Here
the same weights decide on the same episodes three times: told the number of tasks left as it is, told of 25
wherever there are more, and told five times the number of tasks left per machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from transfer import FLEETS, HERE, TRAINED, folder, problem, result

from qexp.evaluate import evaluate
from qexp.report.leaderboard import leaderboard
from qexp.scheduler.mct import MCT
from qexp.scheduler.policy import PolicyScheduler
from qexp.state import NodeState, TaskState

TRAINED_TASKS, TRAINED_MACHINES = 25, 5
DECISIONS = 2000
"""At least so many for each policy, and five episodes."""


@dataclass
class ToldOfFew(PolicyScheduler):
    """A policy that never hears of more tasks than it was trained with."""

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the node the policy scores highest."""
        return super().select(replace(task, remaining=min(task.remaining, TRAINED_TASKS)), nodes)


@dataclass
class ToldPerMachine(PolicyScheduler):
    """A policy that hears of as many tasks as would be left for the five machines of its training."""

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the node the policy scores highest."""
        left = task.remaining * TRAINED_MACHINES / len(nodes.free_at)
        return super().select(replace(task, remaining=left), nodes)


def compare(fleet: str, name: str, seed: int) -> list[dict]:
    """Return one row for each way of telling a policy the number of tasks left."""
    path = str(folder(name, seed=seed))
    schedulers = {
        "as it is": PolicyScheduler(path=path),
        "25 at most": ToldOfFew(path=path),
        "per machine": ToldPerMachine(path=path),
        "mct": MCT(),
    }
    scenario = problem(folder(fleet, name, seed=seed))
    episodes = max(5, DECISIONS // scenario.tasks)
    measured = evaluate(scenario, schedulers, episodes=episodes, seed=2024)
    rows = leaderboard(measured.episodes, seed=2024)
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
    lines = ["| fleet, load | trained | tasks left | episodes | vs mct (%) | 95 % interval |"]
    lines += ["|---|---|---|--:|--:|--:|"]
    for _, row in results.iterrows():
        interval = f"{row['vs_mct_ci_low_pct']:+.1f} to {row['vs_mct_ci_high_pct']:+.1f}"
        cells = [row["fleet"], f"{row['trained']}, seed {row['seed']}", row["told"], row["episodes"]]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} | {row['vs_mct_pct']:+.1f} | {interval} |")
    return "\n".join(lines)


def main() -> None:
    """Compare on every other fleet than that of the training; write causes.csv and causes_tables.md."""
    rows: list[dict] = []
    for fleet in FLEETS:
        for name in TRAINED:
            found = result(folder(fleet, name, seed=0))
            if found is not None and not fleet.startswith("qce5"):
                rows += compare(fleet, name, 0)
                print(table(pd.DataFrame(rows[-3:])), flush=True)
    results = pd.DataFrame(rows)
    results.round(4).to_csv(Path(HERE, "causes.csv"), index=False)
    Path(HERE, "causes_tables.md").write_text(table(results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
