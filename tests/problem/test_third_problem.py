"""A third problem is a folder: put into a copy of the package, it runs, trains, sweeps and is reported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow  # copies the package and runs commands in the copy

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "ordering"
SMALL = ("tracking=off", "eval.episodes=3")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package and its configuration, with one folder more; commands run in it."""
    folder = tmp_path_factory.mktemp("house")
    hidden = shutil.ignore_patterns("__pycache__")
    for name in ("qexp", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=hidden)
    shutil.copytree(TOY, folder / "qexp" / "ordering", ignore=hidden)

    paths = os.pathsep.join(map(str, (folder, folder / "qexp" / "plugins")))

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "qexp.config.files")
    return folder, run


def test_it_runs_with_its_own_metric_and_pictures(house):
    folder, run = house
    out = run("-m", "qexp", "env=ordering", "hydra.run.dir=one", *SMALL)
    assert "Flow time of an episode" in out
    rows = pd.read_csv(folder / "one" / "episodes.csv").pivot_table("flow_time", "episode", "scheduler")
    assert list(rows.columns) == ["in_order", "shortest"]
    assert (rows["shortest"] <= rows["in_order"]).all()
    assert {path.name for path in (folder / "one" / "plots").iterdir()} == {"flow_time.png", "order.png"}
    assert len(pd.read_csv(folder / "one" / "jobs.csv")) == 2 * 3 * 6


def test_it_is_in_no_other_problems_way(house):
    _, run = house
    out = run("-m", "qexp", "--cfg", "job", "env=placement", "--resolve")
    assert "in_order" not in out
    assert "ordering" in run("-m", "qexp", "--help")


@pytest.mark.ray
def test_it_is_trained_on_and_its_policy_loads(house):
    folder, run = house
    run("-m", "qexp", "env=ordering", "algo=a2c", "algo.env_steps=20000", "hydra.run.dir=two", *SMALL)
    result = json.loads((folder / "two" / "result.json").read_text(encoding="utf-8"))
    means = {row["scheduler"]: row["flow_time_mean"] for row in result["leaderboard"]}
    assert means["shortest"] <= means["a2c"] < means["in_order"]
    code = "import qexp, numpy as np; print(qexp.load_policy('two').act(np.array([5.0, 0.5, 9.0])))"
    assert run("-c", code) == "1\n"


def test_it_is_swept(house):
    folder, run = house
    run("-m", "qexp", "-m", "env=ordering", "env.jobs=3,5", "plots=false", "hydra.sweep.dir=many", *SMALL)
    assert list(pd.read_csv(folder / "many" / "sweep.csv")["flow_time_mean"].notna()) == [True, True]
    assert "env.jobs" in run("-m", "qexp.report", "many")
