"""The algorithm that docs/training.md shows can be copied and trained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.ray
def test_the_algorithm_of_the_page_trains(tmp_path):
    code = re.search(
        r"<!-- own algorithm -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "anchored.py").write_text(code[1], encoding="utf-8")
    command = re.search(r"`(algo=a2c algo\._target_=anchored\.Anchored [^`]+)`", PAGE.read_text("utf-8"))
    small = "algo.env_steps=1000 algo.num_envs=8 algo.hidden=8 eval.episodes=2 eval.baselines=[mct]"
    settings = [*command[1].split(), *small.split(), "tracking=off", "plots=false", "hydra.run.dir=run"]
    ended = subprocess.run(
        [sys.executable, "-m", "qexp", *settings], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert (config["algo"]["_option_"], config["algo"]["anchor"]) == ("anchored", 0.2)
    assert "anchored" in (tmp_path / "run" / "leaderboard.csv").read_text(encoding="utf-8")
