"""The way in from Python: the same road as the command line's, lazily imported, in threads and processes."""

from __future__ import annotations

import doctest
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from cases import quick_first

import qexp
import qexp.api
from qexp.config.option import REGISTRY
from qexp.placement.placement import Placement
from qexp.tracking import Local as LocalTracking

POLICY = Path(__file__).parent / "old_runs" / "policy"
SMALL = ("eval.episodes=2", "tracking=off", "plots=false")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_importing_it_imports_nothing():
    code = "import sys, qexp; print([m for m in ('numpy', 'hydra', 'torch', 'ray') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_all_that_is_promised_is_there():
    assert set(qexp.__all__) == set(dir(qexp))
    assert all(getattr(qexp, name) is not None for name in qexp.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        qexp.runn  # noqa: B018


@pytest.mark.slow
def test_a_run_is_the_command_lines(tmp_path, qexp_command):
    found = qexp.run("scheduler=met", "eval.baselines=[mct]", *SMALL, folder=tmp_path / "here")
    qexp_command("scheduler=met", "eval.baselines=[mct]", *SMALL, f"hydra.run.dir={tmp_path / 'there'}")
    for name in ("leaderboard.csv", "episodes.csv", "config.yaml"):
        assert (tmp_path / "here" / name).read_text() == (tmp_path / "there" / name).read_text()
    pd.testing.assert_frame_equal(found.leaderboard, pd.read_csv(tmp_path / "here" / "leaderboard.csv"))
    assert (found.status, found.policy, found.plots) == ("COMPLETED", None, [])


@pytest.mark.slow
def test_a_result_is_found_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    found = qexp.run("eval.baselines=[mct]", *SMALL)
    made = qexp.Experiment({"placement": {"tasks": 2}}, baselines=["mct"], tracking="off", episodes=1).run(
        "a"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (len(found.leaderboard), len(made.leaderboard)) == (1, 1)
    assert made.plots


@pytest.fixture
def qexp_command():
    def call(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "qexp", *arguments], check=True, capture_output=True)

    return call


@pytest.mark.slow
def test_in_threads_and_in_a_process_that_is_spawned(tmp_path):
    arguments = ("eval.baselines=[mct]", *SMALL)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda seed: qexp.run(f"seed={seed}", *arguments), range(3)))
    assert len({result.folder for result in found}) == 3
    assert len({float(result.leaderboard["total_completion_time_mean"][0]) for result in found}) == 3
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(qexp.run, *arguments).result().status == "COMPLETED"


@pytest.mark.slow
def test_an_edited_option_file_is_the_baselines_too(tmp_path):
    (tmp_path / "conf" / "scheduler").mkdir(parents=True)
    (tmp_path / "conf" / "scheduler" / "weighted.yaml").write_text(
        "defaults: [weighted_schema, _self_]\nfidelity_weight: 0.9\n"
    )
    listed = "eval.baselines=[weighted,mct]"
    chosen = qexp.run("scheduler=weighted", listed, *SMALL, config_dir=tmp_path / "conf").leaderboard
    assert sorted(chosen["scheduler"]) == ["mct", "weighted fidelity_weight=0.9"]
    other = qexp.run("scheduler=met", listed, *SMALL, config_dir=tmp_path / "conf").leaderboard
    pd.testing.assert_frame_equal(
        chosen.set_index("scheduler").loc[["weighted fidelity_weight=0.9"]],
        other.set_index("scheduler").loc[["weighted fidelity_weight=0.9"]],
    )


@pytest.mark.parametrize(
    ("overrides", "said"),
    quick_first(
        [
            (["env.task=3"], "did you mean 'env.tasks'"),
            (["eval.episodes=0"], r"eval\.episodes=0: must be"),
            (["scheduler=nope"], "there is no such option"),
            (["seed=1,2"], "sweep"),
            (["experiment=compare"], "several runs"),
            (["sweep=s"], "multirun"),
            (["-m", "seed=1,2"], "run takes what sets something"),
            ([["env.tasks=4"]], "run takes what sets something"),
            (["~plots"], "plots cannot be removed; give it a value: plots=VALUE"),
            (["report"], "report: a command comes first"),
            (["scheduler=policy", "scheduler.path=/home/müller"], "here 'scheduler.path=\"/home/müller\"'"),
        ],
        4,
    ),
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, overrides, said):
    with pytest.raises(qexp.InputError, match=said) as refused:
        qexp.run(*overrides)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("config.yaml"))


def test_an_experiment_of_objects_keeps_its_own_machines(tmp_path):
    fleet = qexp.Fleet("mine", qexp.load_fleet("ibm13").nodes[:4])
    parts = {"baselines": ["mct", {"weighted": {"fidelity_weight": 0.2}}], "tracking": "off", "plots": False}
    experiment = qexp.Experiment(Placement(fleet, tasks=5), episodes=2, **parts)
    found = experiment.run(tmp_path / "run")
    assert set(found.leaderboard["scheduler"]) == {"mct", "weighted fidelity_weight=0.2"}
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["env"]["tasks"], config["backend"]["_option_"]) == (5, "file")
    assert qexp.load_fleet(config["backend"]["path"]).hash == fleet.hash
    named = qexp.Experiment("gate_scheduling").config
    assert (named["backend"], named["scheduler"]["_option_"]) == ({"_option_": "none"}, "critical_path")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(qexp.InputError, match=r"folder=.*file: File exists"):
        qexp.run(*SMALL, folder=tmp_path / "file")


@dataclass
class Scaled(qexp.RankingScheduler):
    """Finish time, scaled by anything."""

    scale: Any = 1.0
    weights: tuple[float, ...] = (1.0, 2.0)

    def cost(self, task, nodes):
        return qexp.wait_times(task, nodes) * (self.scale(1.0) if callable(self.scale) else self.scale)


class Undeclared(qexp.RankingScheduler):
    """No dataclass."""

    def cost(self, task, nodes):
        return qexp.wait_times(task, nodes)


@dataclass
class Paid(qexp.Reward):
    """Minus the time."""

    per_second: float = 1.0

    def of(self, outcome):
        return -outcome.elapsed * self.per_second


@pytest.fixture
def clean_registry(monkeypatch):
    for group in ("scheduler", "env/reward"):
        monkeypatch.setitem(REGISTRY, group, dict(REGISTRY[group]))


@pytest.mark.usefixtures("clean_registry")
def test_parts_may_be_objects_of_own_classes(tmp_path):
    fleet = qexp.Fleet("mine", qexp.load_fleet("ibm13").nodes[:3])
    experiment = qexp.Experiment(
        {"placement": {"tasks": np.int64(3), "arrivals": "poisson", "reward": Paid(np.float32(0.5))}},
        scheduler=Scaled(np.float64(2)),
        baselines=[Scaled(), Scaled(weights=(3.0,)), {"policy": {"path": POLICY}}],
        backend=fleet,
        episodes=2,
        tracking="off",
        plots=False,
    )
    found = experiment.run(tmp_path / "run")
    names = {"scaled scale=2.0", "scaled", "scaled weights=[3.0]", f"policy path={POLICY}"}
    assert (found.status, set(found.leaderboard["scheduler"])) == ("COMPLETED", names)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["env"]["reward"]["per_second"] == 0.5
    assert config["env"]["arrivals"]["_option_"] == "poisson"
    assert qexp.load_fleet(config["backend"]["path"]).hash == fleet.hash


@pytest.mark.usefixtures("clean_registry")
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"scheduler": Scaled(np.ones(5))}, "scheduler.scale: ndarray is no value of a configuration"),
        ({"scheduler": Scaled(abs)}, "scheduler.scale: builtin_function_or_method is no value"),
        ({"baselines": [Scaled(abs)]}, "scheduler.scale: builtin_function_or_method is no value"),
        ({"scheduler": Undeclared()}, "put @dataclass above the class"),
        ({"scheduler": qexp.load_fleet("qce5")}, r"scheduler: Fleet\(name.*: give a name"),
        ({"scheduler": "mtc"}, "there is no option 'mtc': choose one of .*mct"),
        ({"problem": {"placement": 3}}, "env: {'placement': 3}: give a name"),
        ({"training": {"a2c": {"lr": abs}}}, "algo.lr: builtin_function_or_method is no value"),
        ({"baselines": "mct"}, "baselines='mct': give a list"),
        ({"problem": Placement(qexp.load_fleet("ibm13")), "backend": "qce5"}, "leave backend out"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_in_a_line(parts, said, tmp_path):
    with pytest.raises(qexp.InputError, match=said) as refused:
        qexp.Experiment(**{"tracking": "off", **parts}).run()
    assert "\n" not in str(refused.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("clean_registry")
def test_objects_with_any_value_are_compared_under_names():
    found = qexp.evaluate(
        {"a": Scaled(lambda one: one), "b": Undeclared(), "c": Scaled(np.ones(5))}, episodes=1
    )
    assert not found.failed
    assert len(set(found.episodes["total_wait"])) == 1
    with pytest.raises(qexp.InputError, match="or name the object with a mapping"):
        qexp.evaluate([Scaled(abs)])


def test_a_problem_may_be_a_name():
    found = qexp.evaluate(["asap", "critical_path"], "gate_scheduling", episodes=2)
    assert set(found.episodes["scheduler"]) == {"asap", "critical_path"}
    again = qexp.evaluate(["met"], {"placement": {"tasks": 3}}, episodes=1)
    assert len(again.tasks) == 3


@pytest.mark.parametrize(
    ("schedulers", "settings", "said"),
    [
        ("mct", {}, "schedulers='mct': name at least one"),
        ([], {}, "name at least one"),
        (["mct"], {"episodes": 0}, "episodes=0: must be an integer of at least 1"),
        (["mct"], {"episodes": 1.5}, "episodes=1.5: must be an integer"),
        (["mct"], {"seed": -1}, "seed=-1: must be an integer of at least 0"),
        (["asap"], {}, "asap: it decides in env=gate_scheduling, not placement"),
        (["policy"], {}, "policy: needs a path"),
        ([{"policy": {"path": "nowhere"}}], {}, "no policy bundle at nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(schedulers, settings, said):
    with pytest.raises(qexp.InputError, match=said):
        qexp.evaluate(schedulers, **settings)


def test_schedulers_are_compared_without_a_run():
    found = qexp.evaluate({"mine": "met", "theirs": {"weighted": {"fidelity_weight": 1.0}}}, episodes=2)
    assert set(qexp.leaderboard(found)["scheduler"]) == {"mine", "theirs"}
    with pytest.raises(qexp.InputError, match="more than once"):
        qexp.evaluate(["mct", "mct"], episodes=1)


def test_the_versions_of_a_bug_report(capsys):
    qexp.show_versions()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["qexp", qexp.__version__]
    assert any(line.startswith("torch ") for line in lines)


class LastLine(doctest.OutputChecker):
    """A run prints its leaderboard before the example's value."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, got.splitlines(keepends=True)[-1] if got else "", optionflags)


@pytest.mark.slow
def test_the_examples_of_the_docstrings():
    runner = doctest.DocTestRunner(LastLine())
    for example in doctest.DocTestFinder().find(qexp.api, "api", globs={}):
        runner.run(example)
    found = runner.summarize(verbose=False)
    assert (found.failed, found.attempted) == (0, 5)


@pytest.mark.ray
def test_a_run_that_trains_returns_a_policy_that_decides():
    budget = ("env.tasks=5", "algo.env_steps=2000", "algo.num_envs=8", "algo.hidden=8")
    found = qexp.run("algo=a2c", *budget, "eval.baselines=[mct]", *SMALL)
    assert set(found.leaderboard["scheduler"]) == {"a2c", "mct"}
    scenario = Placement(qexp.load_fleet("qce5"), tasks=5)
    again = qexp.evaluate({"a2c": {"policy": {"path": str(found.folder)}}}, scenario, episodes=2)
    means = found.leaderboard.set_index("scheduler")["total_completion_time_mean"]
    assert again.episodes["total_completion_time"].mean() == pytest.approx(means["a2c"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tracking", "store"),
    [
        ("local", "theirs.db"),
        ({"local": {"experiment": "mine"}}, "theirs.db"),
        ({"local": {"uri": "sqlite:///mine.db"}}, "mine.db"),
        (LocalTracking(uri="sqlite:///mine.db"), "mine.db"),
    ],
)
def test_an_experiment_heeds_the_environment_where_it_is_not_told_otherwise(
    tracking, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///theirs.db")
    problem = {"placement": {"tasks": 2}}
    qexp.Experiment(problem, baselines=["mct"], episodes=1, plots=False, tracking=tracking).run()
    assert [path.name for path in tmp_path.glob("**/*.db")] == [store]
