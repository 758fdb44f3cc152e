"""The way in from Python: the same road as the command line's, lazily imported, in threads and processes."""

from __future__ import annotations

import doctest
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pandas as pd
import pytest
import yaml

import qexp
import qexp.api
from qexp.env.scenario import Scenario

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


def test_a_run_is_the_command_lines(tmp_path, qexp_command):
    found = qexp.run("scheduler=met", "eval.baselines=[mct]", *SMALL, folder=tmp_path / "here")
    qexp_command("scheduler=met", "eval.baselines=[mct]", *SMALL, f"hydra.run.dir={tmp_path / 'there'}")
    for name in ("leaderboard.csv", "episodes.csv", "config.yaml"):
        assert (tmp_path / "here" / name).read_text() == (tmp_path / "there" / name).read_text()
    pd.testing.assert_frame_equal(found.leaderboard, pd.read_csv(tmp_path / "here" / "leaderboard.csv"))
    assert (found.status, found.policy, found.plots) == ("COMPLETED", None, [])


@pytest.fixture
def qexp_command():
    def call(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "qexp", *arguments], check=True, capture_output=True)

    return call


def test_in_threads_and_in_a_process_that_is_spawned(tmp_path):
    arguments = ("eval.baselines=[mct]", *SMALL)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda seed: qexp.run(f"seed={seed}", *arguments), range(3)))
    assert len({result.folder for result in found}) == 3
    assert len({float(result.leaderboard["total_completion_time_mean"][0]) for result in found}) == 3
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(qexp.run, *arguments).result().status == "COMPLETED"


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
    [
        (["env.task=3"], "did you mean 'env.tasks'"),
        (["eval.episodes=0"], r"eval\.episodes=0: must be"),
        (["scheduler=nope"], "there is no such option"),
        (["seed=1,2"], "sweep"),
        (["experiment=compare"], "several runs"),
        (["sweep=s"], "multirun"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, overrides, said):
    with pytest.raises(qexp.InputError, match=said) as refused:
        qexp.run(*overrides)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("config.yaml"))


def test_an_experiment_of_objects_keeps_its_own_machines(tmp_path):
    fleet = qexp.Fleet("mine", qexp.load_fleet("ibm13").nodes[:4])
    parts = {"baselines": ["mct", {"weighted": {"fidelity_weight": 0.2}}], "tracking": "off", "plots": False}
    experiment = qexp.Experiment(Scenario(fleet, tasks=5), episodes=2, **parts)
    found = experiment.run(tmp_path / "run")
    assert set(found.leaderboard["scheduler"]) == {"mct", "weighted fidelity_weight=0.2"}
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["env"]["tasks"], config["backend"]["_option_"]) == (5, "file")
    assert qexp.load_fleet(config["backend"]["path"]).hash == fleet.hash
    named = qexp.Experiment("gate_scheduling").config
    assert (named["backend"], named["scheduler"]["_option_"]) == ({"_option_": "none"}, "critical_path")


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


def test_the_examples_of_the_docstrings():
    runner = doctest.DocTestRunner(LastLine())
    for example in doctest.DocTestFinder().find(qexp.api, "api", globs={}):
        runner.run(example)
    found = runner.summarize(verbose=False)
    assert (found.failed, found.attempted) == (0, 5)


@pytest.mark.slow
def test_a_run_that_trains_returns_a_policy_that_decides():
    budget = ("env.tasks=5", "algo.env_steps=2000", "algo.num_envs=8", "algo.hidden=8")
    found = qexp.run("algo=a2c", *budget, "eval.baselines=[mct]", *SMALL)
    assert set(found.leaderboard["scheduler"]) == {"a2c", "mct"}
    scenario = Scenario(qexp.load_fleet("qce5"), tasks=5)
    again = qexp.evaluate({"a2c": {"policy": {"path": str(found.folder)}}}, scenario, episodes=2)
    means = found.leaderboard.set_index("scheduler")["total_completion_time_mean"]
    assert again.episodes["total_completion_time"].mean() == pytest.approx(means["a2c"])
