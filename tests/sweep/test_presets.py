"""Every preset in conf/experiment composes and runs, in miniature."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from qexp.config.composition import register

PRESETS = sorted((Path(__file__).parents[2] / "conf" / "experiment").glob("*.yaml"))
SMALL = ("eval.episodes=2", "tracking=off")
# What takes long, cut down further.
TRAINING = ("algo.env_steps=600", "algo.hidden=8")
SMALLER = {
    "compare": (*TRAINING, "seed=0", "eval.baselines=[mct]"),
    "rainbow_ablation": (*TRAINING, "algo.learning_starts=100", "seed=0", "algo=dqn,rainbow/noisy"),
    "debug": TRAINING,
    "search": (*TRAINING, "hydra.sweeper.n_trials=2"),
    "gate_schedulers": ("seed=0",),
    "gate_sizes": ("seed=0",),
}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_begins_with_the_command_that_runs_it(path):
    package, command, *_ = path.read_text(encoding="utf-8").splitlines()
    assert package == "# @package _global_"
    assert command == f"# python -m qexp experiment={path.stem}"


@pytest.mark.slow
def test_each_variant_of_the_ablation_is_dqn_with_one_part_switched_over():
    register()
    preset = yaml.safe_load((PRESETS[0].parent / "rainbow_ablation.yaml").read_text(encoding="utf-8"))
    default, *variants = preset["hydra"]["sweeper"]["params"]["algo"].split(",")
    assert default == "dqn"
    switched = []
    with initialize_config_dir(str(PRESETS[0].parents[1]), version_base="1.3"):
        base = compose("config", ["algo=dqn"])
        for variant in variants:
            config = compose("config", [f"algo={variant}"])
            assert config.scheduler == base.scheduler
            switched += [key for key in base.algo if config.algo[key] != base.algo[key]]
    assert switched == ["double", "dueling", "prioritized", "n_step", "distributional", "noisy"]


@pytest.mark.slow
@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_runs(path, python, tmp_path):
    tasks = () if path.stem.startswith("gate_") else ("env.tasks=4",)
    ended = python(
        "-m", "qexp", f"experiment={path.stem}", *SMALL, *tasks, *SMALLER.get(path.stem, ()), cwd=tmp_path
    )
    assert ended.status == 0, ended.out + ended.err
    if yaml.safe_load(path.read_text(encoding="utf-8")).get("hydra", {}).get("mode") == "MULTIRUN":
        assert "jobs completed" in ended.out
        assert list(tmp_path.glob("outputs/sweeps/*/sweep.png"))
    else:
        assert list(tmp_path.glob("outputs/*/*/result.json"))
