"""How long a user waits for the command line, and for the heuristics' leaderboard."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.measure import Effort, Figure, command_seconds
from qexp.config.option import REGISTRY, load_options
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement
from qexp.problem.scheduler import Scheduler, schedulers_of
from qexp.stages.evaluation import evaluate

CONFIG = Path(__file__).parents[1] / "conf" / "config.yaml"


def measure(effort: Effort) -> list[Figure]:
    """Measure commands from start to exit, and the evaluation alone."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = {
            "`import qexp.cli`": ([python, "-c", "import qexp.cli"], None),
            "`qexp --help`": ([python, "-m", "qexp", "--help"], 1.0),
            "`qexp --cfg job`": ([python, "-m", "qexp", "--cfg", "job"], 1.0),
            "`qexp tracking=off`": ([python, "-m", "qexp", "tracking=off", "hydra.run.dir=run"], None),
        }
        figures = [
            Figure(name, "s", command_seconds(command, folder, effort), target, lower_is_better=True)
            for name, (command, target) in commands.items()
        ]
    seconds = leaderboard_seconds(effort)
    evaluation = "evaluating the default schedulers on the default number of episodes, without imports"
    return [*figures, Figure(evaluation, "s", seconds, 5.0, lower_is_better=True)]


def leaderboard_seconds(effort: Effort) -> list[float]:
    """Return how long the evaluation behind ``qexp`` without arguments takes."""
    load_options()
    default = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["eval"]
    scenario = Placement(load_fleet("qce5"))
    schedulers: dict[str, Scheduler] = {
        name: REGISTRY["scheduler"][name]() for name in schedulers_of("placement")
    }
    seconds = []
    evaluate(scenario, schedulers, episodes=1, seed=0)
    for repetition in range(effort.repetitions):
        start = time.perf_counter()
        evaluate(scenario, schedulers, episodes=default["episodes"], seed=repetition)
        seconds.append(time.perf_counter() - start)
    return seconds
