"""Options of somebody else's: what docs/own-options.md shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cases import quick_first

PAGE = (Path(__file__).parents[2] / "docs" / "own-options.md").read_text(encoding="utf-8")
SMALL = ("tracking=off", "plots=false")


def block(name: str) -> str:
    return re.search(rf"<!-- {re.escape(name)} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)[1]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "floor.py").write_text(block("floor.py"), encoding="utf-8")
    (tmp_path / "myconf" / "scheduler").mkdir(parents=True)
    (tmp_path / "myconf" / "scheduler" / "floor_mct.yaml").write_text(block("yaml"), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_class_named_on_the_command_line(mine):
    (command,) = block("class").strip().splitlines()
    ended = run(mine, "-m", "qexp", *shlex.split(command)[1:], *SMALL, "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "floor_mct floor=0.2" in (mine / "run" / "leaderboard.csv").read_text(encoding="utf-8")
    config = yaml.safe_load((mine / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert config["scheduler"] == {"_option_": "floor_mct", "_target_": "floor.FloorMCT", "floor": 0.2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "said"),
    quick_first(
        [
            ("scheduler.floor=2", r"qexp: scheduler\.floor=2.*: must be less than or equal to 1"),
            ("scheduler.flor=0.2", r"qexp: unknown key 'scheduler\.flor'.*"),
        ]
    ),
)
def test_what_is_wrong_with_it_is_one_line(mine, argument, said):
    ended = run(mine, "-m", "qexp", "--config-dir", "myconf", "scheduler=floor_mct", argument, *SMALL)
    assert ended.returncode == 2
    assert re.fullmatch(f"{said}\n", ended.stderr), ended.stderr
    assert not (mine / "outputs").exists()


@pytest.mark.slow
def test_a_file_in_a_configuration_folder_of_ones_own(mine):
    single, sweep = (shlex.split(line)[1:] for line in block("config-dir").strip().splitlines())
    ended = run(mine, "-m", "qexp", *single, *SMALL, "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = (mine / "run" / "leaderboard.csv").read_text(encoding="utf-8")
    assert all(f"\n{name}," in rows for name in ("floor_mct", "floor_mct floor=0.5", "mct"))
    ended = run(mine, "-m", "qexp", *sweep, *SMALL, "eval.baselines=[mct,floor_mct]")
    assert ended.returncode == 0, ended.stderr
    assert "4 of 4 jobs completed" in ended.stdout
    assert "floor_mct" in run(mine, "-m", "qexp", "--config-dir", "myconf", "--help").stdout


@pytest.mark.slow
def test_in_python(mine):
    (mine / "mine.py").write_text(block("python"), encoding="utf-8")
    ended = run(mine, "mine.py")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "floor_mct floor=0.5" in ended.stdout


@pytest.mark.slow
def test_its_gap_report_is_made_in_another_process(mine):
    choice = ("--config-dir", "myconf", "scheduler=floor_mct", "eval.episodes=2", "eval.baselines=[mct]")
    campaign = (
        "deploy=simulator",
        "deploy.tasks=6",
        "deploy.schedulers=[floor_mct,mct]",
        "hydra.run.dir=run",
    )
    ended = run(mine, "-m", "qexp", *choice, *campaign, *SMALL)
    assert (ended.returncode, ended.stderr) == (0, "")
    (mine / "run" / "report.html").unlink()
    ended = run(mine, "-m", "qexp", "gap", "run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (mine / "run" / "report.html").is_file()
    (mine / "floor.py").unlink()
    ended = run(mine, "-m", "qexp", "gap", "run")
    assert ended.returncode == 2
    assert re.fullmatch(r"qexp: [^\n]*floor\.FloorMCT: cannot be imported[^\n]*\n", ended.stderr), (
        ended.stderr
    )


@pytest.mark.slow
def test_an_installed_package_and_one_that_is_broken(mine, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "floor.py").write_text(block("floor.py"), encoding="utf-8")
    (site / "broken.py").write_text("import nothing_of_that_name", encoding="utf-8")
    for name in ("floor", "broken"):
        info = site / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[qexp.options]\n{name} = {name}\n", encoding="utf-8")
    (mine / "floor.py").unlink()
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "qexp",
            "scheduler=floor_mct",
            "eval.baselines=[mct]",
            "eval.episodes=2",
            *SMALL,
        ],
        cwd=mine,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ended.returncode == 0, ended.stderr
    assert "floor_mct" in ended.stdout
    assert re.fullmatch(r"qexp: the options of broken are left out: [^\n]+\n", ended.stderr), ended.stderr


@pytest.mark.slow
def test_a_reward_and_circuits_of_ones_own(tmp_path):
    (tmp_path / "shop.py").write_text(block("shop.py"), encoding="utf-8")
    command = shlex.split(block("shop"))[1:]
    ended = run(tmp_path, "-m", "qexp", *command, *SMALL, "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr) == (0, "")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))["env"]
    assert config["workload"] == {"_option_": "ghz", "_target_": "shop.Ghz", "widest": 15, "shots": 1024}
    assert (config["reward"]["_option_"], config["reward"]["limit"]) == ("on_time", 5.0)
    tasks = (tmp_path / "run" / "tasks.csv").read_text(encoding="utf-8")
    assert "ghz_15" in tasks
    assert "ghz_16" not in tasks


@pytest.mark.slow
def test_of_a_module_that_is_gone_the_reason_is_given_once(tmp_path):
    (tmp_path / "shop.py").write_text(block("shop.py"), encoding="utf-8")
    campaign = ("deploy=simulator", "deploy.tasks=4", "eval.baselines=[mct]", "hydra.run.dir=run")
    command = shlex.split(block("shop"))[1:]
    assert run(tmp_path, "-m", "qexp", *command, *campaign, *SMALL).returncode == 0
    (tmp_path / "shop.py").unlink()
    ended = run(tmp_path, "-m", "qexp", "gap", "run")
    assert ended.returncode == 2
    both = (
        r"env\.workload\._target_=shop\.Ghz, env\.reward\._target_=shop\.OnTime: cannot be imported: [^;\n]*"
    )
    assert re.fullmatch(rf"qexp: {both}; install shop, or start in the folder that holds it\n", ended.stderr)
