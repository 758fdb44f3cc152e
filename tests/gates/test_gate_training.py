"""Training for gates as users type it: a policy that schedules circuits of any length, and only those."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from qexp.gates.gate_scheduling import GateScheduling
from qexp.policy import load_policy
from qexp.problem.extract import extract

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
QUIET = ("tracking=off", "plots=false")


def qexp(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "qexp", *arguments, *QUIET],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def makespans(folder, scheduler):
    episodes = pd.read_csv(folder / "episodes.csv")
    return episodes[episodes["scheduler"] == scheduler]["makespan"].tolist()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    # Without the prior there is something to learn within seconds.
    limits = (
        "algo.env_steps=20000",
        "algo.min_iterations=40",
        "algo.prior=0",
        "eval.episodes=30",
        "eval.baselines=[critical_path]",
    )
    done = qexp("algo=a2c", "env=gate_scheduling", *limits, "hydra.run.dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "run"


def test_schedules_become_shorter_in_training(trained):
    history = pd.read_csv(trained / "training.csv")
    stretch = history["episode_stretch_mean"]
    assert stretch.tail(10).mean() < stretch.head(5).mean()
    assert history["env_steps"].iloc[-1] >= 20_000
    assert len(makespans(trained, "a2c")) == len(makespans(trained, "critical_path")) == 30


def test_the_policy_schedules_the_same_in_a_run_of_its_own_and_by_hand(trained):
    arguments = ("env=gate_scheduling", "scheduler=policy", "scheduler.path=run", "eval.episodes=30")
    done = qexp(*arguments, "eval.baselines=[]", "hydra.run.dir=again", cwd=trained.parent)
    assert done.returncode == 0, done.stderr
    assert makespans(trained.parent / "again", "policy") == makespans(trained, "a2c")
    scenario, policy = GateScheduling(), load_policy(trained)
    problem = scenario.episode(0, 0).problem
    starts = policy.schedule(problem.circuit, "workshop5")
    ends = [start + cycles for start, cycles in zip(starts, problem.cycles, strict=True)]
    assert max(ends) == makespans(trained, "a2c")[0]
    assert len(policy.schedule(scenario.episode(0, 0).problem.circuit * 5, "workshop5")) == 5 * len(problem)


def test_a_checkpoint_gives_the_same_policy(trained, tmp_path):
    checkpoint = max((trained / "checkpoints").iterdir())
    extracted = extract(checkpoint, tmp_path / "policy")
    for name in ("policy.json", "policy.safetensors"):
        assert (extracted / name).read_bytes() == (trained / "policy" / name).read_bytes()
    assert json.loads((extracted / "policy.json").read_text())["rulebook"] == "cnot"


def test_a_policy_for_gates_places_no_tasks(trained):
    done = qexp("scheduler=policy", "scheduler.path=run", "hydra.run.dir=wrong", cwd=trained.parent)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "qexp: scheduler.path: run is a policy for env=gate_scheduling, not placement"
    )
