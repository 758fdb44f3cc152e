"""Hyperparameter search: what it draws, that it learns, and that it continues where it was cut off."""

from __future__ import annotations

import csv
import gc
import shlex
import warnings
from pathlib import Path

import pytest
from cases import quick_first
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

optuna = pytest.importorskip("optuna", reason="the extra [search] is not installed")

from hydra_plugins.qexp_optuna_sweeper._search import Search, space  # noqa: E402
from hydra_plugins.qexp_optuna_sweeper.optuna_sweeper import OptunaSweeperConf  # noqa: E402
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "sweeps.md"
QUICK = ("plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]", "tracking=off")


@pytest.fixture(autouse=True)
def _let_go_of_databases():
    """Optuna leaves the connections of its storages to the garbage collector, which Python 3.13 reports."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def of(*overrides):
    return space(OverridesParser.create().parse_overrides(list(overrides)))


def test_hydras_sweeps_are_what_is_drawn_from():
    assert of(
        "a=choice(x,y)", "b=1,2", "c=range(2,8,2)", "d=interval(0,1.5)", "e=tag(log,interval(0.1,1))"
    ) == {
        "a": CategoricalDistribution(["x", "y"]),
        "b": CategoricalDistribution(["1", "2"]),
        "c": IntDistribution(2, 6, step=2),
        "d": FloatDistribution(0, 1.5),
        "e": FloatDistribution(0.1, 1, log=True),
    }
    with pytest.raises(HydraException, match="nothing to search"):
        space([])
    with pytest.raises(HydraException, match=r"cannot search x=glob\(\*\)"):
        of("x=glob(*)")


def minimise(search, trials):
    for _ in range(trials):
        ((override,),) = search.ask(1).values()
        search.tell([(float(override.partition("=")[2]) - 3.0) ** 2])


def test_a_search_finds_the_minimum_and_remembers_it(tmp_path):
    search = Search(tmp_path, of("x=interval(-10.0,10.0)"), OptunaSweeperConf())
    minimise(search, 40)
    x = float(search.best().partition("x=")[2].partition(",")[0])
    assert abs(x - 3.0) < 1.0
    again = Search(tmp_path, of("x=interval(-10.0,10.0)"), OptunaSweeperConf())
    assert (again.finished, again.best()) == (40, search.best())


def test_what_was_cut_off_is_asked_for_again_and_what_failed_is_not(tmp_path):
    search = Search(tmp_path, of("x=interval(-10.0,10.0)"), OptunaSweeperConf())
    search.ask(1)
    search.tell([None])
    (cut_off,) = search.ask(1).values()
    again = Search(tmp_path, of("x=interval(-10.0,10.0)"), OptunaSweeperConf())
    assert again.finished == 1
    assert list(again.ask(1).values()) == [cut_off]


@pytest.mark.slow
def test_a_search_from_the_command_line(qexp):
    search = (
        "-m",
        "sweep=s",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "scheduler=choice(mct,greedy)",
    )
    ended = qexp(*search, "env.arrivals.window=interval(30,60)", *QUICK)
    assert ended.status == 0, ended.err
    assert "search: the best is scheduler=mct" in ended.out
    folder = Path("outputs/sweeps/s")
    with (folder / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["COMPLETED"] * 4
    assert all(30 <= float(row["env.arrivals.window"]) <= 60 for row in rows)
    more = [part.replace("n_trials=4", "n_trials=5") for part in search]
    ended = qexp(*more, "env.arrivals.window=interval(30,60)", *QUICK)
    assert ended.status == 0, ended.err
    assert ended.out.count("\njob 4: ") == 1
    assert "\njob 3: " not in ended.out
    assert "5 of 5 jobs completed" in ended.out


def test_a_search_of_nothing_is_refused_in_one_line(qexp):
    ended = qexp("-m", "sweep=s", "hydra/sweeper=optuna", *QUICK)
    assert ended.status == 2
    assert ended.err.startswith("qexp: hydra/sweeper=optuna: nothing to search")
    assert len(ended.err.splitlines()) == 1


def values(study, state="COMPLETE"):
    return [trial.params for trial in study.trials if trial.state.name == state]


@pytest.mark.slow
def test_a_search_in_a_storage_of_ones_own_is_found_by_a_second_command_and_by_optuna(qexp):
    search = (
        *("-m", "sweep=s", "hydra/sweeper=optuna", "hydra.sweeper.storage=sqlite:///mine.db", "plots=false"),
        *("scheduler=mct,greedy", "hydra.sweeper.direction=maximize", "env.arrivals.window=range(30,60,10)"),
    )
    assert qexp(*search, *QUICK, "hydra.sweeper.n_trials=4").status == 0
    study = optuna.load_study(study_name="s", storage="sqlite:///mine.db")
    assert study.direction.name == "MAXIMIZE"
    assert len(values(study)) == 4
    assert not Path("outputs/sweeps/s/search.log").exists()
    study.enqueue_trial({"scheduler": "greedy", "env.arrivals.window": 40})
    ended = qexp(*search, *QUICK, "hydra.sweeper.n_trials=6")
    assert ended.status == 0, ended.err
    assert "\njob 3: " not in ended.out
    found = values(optuna.load_study(study_name="s", storage="sqlite:///mine.db"))
    assert len(found) == 6
    assert {"scheduler": "greedy", "env.arrivals.window": 40} in found
    # Long total completion times are greedy's, who waits for nobody.
    assert "search: the best is scheduler=greedy" in ended.out
    other = [part.replace("sweep=s", "sweep=other") for part in search]
    ended = qexp(*other, *QUICK, "hydra.sweeper.n_trials=7", "hydra.sweeper.study_name=s")
    assert ended.status == 0, ended.err
    assert len(values(optuna.load_study(study_name="s", storage="sqlite:///mine.db"))) == 7


TRAINING = (
    *("algo=a2c", "algo.hidden=8", "algo.env_steps=64", "algo.num_envs=2", "algo.min_iterations=1"),
    *("algo.seconds=null", "algo.lr=interval(0.001,0.01)"),
)


@pytest.fixture
def search_beside(qexp):
    """Run a search with a pruner in a storage where nine trainings went as told."""

    def call(others, direction):
        study = optuna.create_study(storage="sqlite:///mine.db", study_name="s", direction=direction)
        for _ in range(9):
            trial = optuna.trial.create_trial(
                params={"algo.lr": 0.002},
                distributions=of("algo.lr=interval(0.001,0.01)"),
                value=others,
                intermediate_values=dict.fromkeys(range(100), others),
            )
            study.add_trial(trial)
        search = ("-m", "sweep=s", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=10", *TRAINING, *QUICK)
        settings = ("pruner=median", f"direction={direction}", "storage=sqlite:///mine.db")
        return lambda: qexp(*search, *(f"hydra.sweeper.{setting}" for setting in settings))

    return call


def last_trial():
    return optuna.load_study(study_name="s", storage="sqlite:///mine.db").trials[-1]


@pytest.mark.ray
@pytest.mark.parametrize(("direction", "others"), [("minimize", 0.0), ("maximize", 1e9)])
def test_a_pruner_stops_a_training_that_does_worse_than_others(direction, others, search_beside):
    command = search_beside(others, direction)
    ended = command()
    assert ended.status == 0, ended.err
    assert last_trial().state.name == "PRUNED"
    with Path("outputs/sweeps/s/sweep.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["status"], row["total_completion_time_mean"]) == ("PRUNED", "")
    assert row["error"].startswith("pruned after ")
    assert "0 of 1 jobs completed" in ended.out
    # It is over: the same command neither trains it to its end nor asks for another.
    again = command()
    assert again.status == 0, again.err
    assert "\njob " not in again.out.partition("search:")[0]


@pytest.mark.ray
@pytest.mark.parametrize(("direction", "others"), [("minimize", 1e9), ("maximize", 0.0)])
def test_a_pruner_lets_a_training_end_that_does_better(direction, others, search_beside):
    ended = search_beside(others, direction)()
    assert ended.status == 0, ended.err
    assert "1 of 1 jobs completed" in ended.out
    assert last_trial().state.name == "COMPLETE"
    assert last_trial().intermediate_values


@pytest.mark.parametrize(
    ("wrong", "words"),
    quick_first(
        [
            ("direction=max", ["minimize, maximize"]),
            ("pruner=medain", ["none, median, halving, hyperband"]),
            ("sampler=tpa", ["tpe, random, gp, qmc"]),
            ("n_trials=0", ["at least 1"]),
            ("n_jobs=0", ["at least 1"]),
            ("seed=-1", ["at least 0"]),
            ("study_name=x", ["hydra.sweeper.storage"]),
            ("storage=mine.db", ["sqlite:///FILE"]),
            # Forgotten with the process, and not seen by jobs in others.
            ("storage=sqlite://", ["sqlite:///FILE"]),
            ("storage=sqlite:///:memory:", ["sqlite:///FILE"]),
            ("storage=sqlite:///nowhere/mine.db", ["unable to open database file"]),
            ("storage=mydb://x/y", ["load plugin"]),
            ("storage=postgresql://me:secret@host/db", ["password"]),
        ],
        3,
    ),
)
def test_a_setting_that_no_search_can_be_made_with_is_refused_in_one_line(wrong, words, qexp):
    ended = qexp("-m", "hydra/sweeper=optuna", "seed=0,1", f"hydra.sweeper.{wrong}", *QUICK)
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1, ended.err
    assert f"hydra.sweeper.{wrong.partition('=')[0]}" in ended.err
    for word in words:
        assert ended.err.count(word) == 1
    assert "secret" not in ended.err
    assert not list(Path().glob("outputs/sweeps/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("hydra.sweeper.direction=maximize", ["direction=maximize", "begun to minimize"]),
        ("scheduler=mct,greedy,met", ["scheduler=mct,greedy,met", "begun with mct,greedy"]),
        ("env.arrivals.window=tag(log,interval(30,60))", ["env.arrivals.window", "begun with 30..60"]),
    ],
)
def test_a_search_that_is_another_is_refused_in_one_line(changed, words, qexp):
    search = ("-m", "sweep=s", "hydra/sweeper=optuna", "scheduler=mct,greedy", *QUICK)
    search = (*search, "env.arrivals.window=interval(30,60)", "hydra.sweeper.n_trials=1")
    assert qexp(*search).status == 0
    ended = qexp(*search, changed, "hydra.sweeper.n_trials=2")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1, ended.err
    for word in (*words, "sweep=NAME"):
        assert ended.err.count(word) == 1, ended.err
    more = qexp(*search, "env.arrivals.window=interval(20,90)", "hydra.sweeper.n_trials=2")
    assert more.status == 0, more.err


@pytest.mark.slow
def test_searches_in_one_storage_leave_each_others_running_jobs_alone(tmp_path):
    shared = OptunaSweeperConf(storage=f"sqlite:///{tmp_path}/mine.db", study_name="shared")
    drawn = of("x=interval(-10.0,10.0)")
    first = Search(tmp_path / "first", drawn, shared)
    first.ask(1)
    second = Search(tmp_path / "second", drawn, shared)
    second.ask(1)
    first.tell([1.0])
    second.tell([2.0])
    assert Search(tmp_path / "third", drawn, shared).finished == 2


def test_a_storage_that_is_lost_is_said_in_one_line(tmp_path):
    search = Search(
        tmp_path, of("x=interval(-10.0,10.0)"), OptunaSweeperConf(storage=f"sqlite:///{tmp_path}/mine.db")
    )
    search.ask(1)
    (tmp_path / "mine.db").write_bytes(b"")
    with pytest.raises(HydraException, match=r"hydra\.sweeper\.storage=sqlite:\S+ cannot be used: \S+"):
        search.tell([1.0])


@pytest.mark.slow
def test_the_best_is_told_in_the_environments_unit(qexp):
    ended = qexp(
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "env=gate_scheduling", "tracking=off"),
        *("scheduler=asap,alap", "eval.episodes=2", "eval.baselines=[critical_path]", "plots=false"),
    )
    assert ended.status == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("search: ")]
    assert line.endswith(" cycles per episode")


@pytest.mark.ray
def test_the_pages_search_with_a_pruner_and_a_storage_runs(qexp):
    (line,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "sweeper.storage=" in line]
    command = shlex.split(line.removeprefix("python -m qexp "))
    ended = qexp(*command, "hydra.sweeper.n_trials=2", *TRAINING[1:-1], *QUICK)
    assert ended.status == 0, ended.err
    assert len(optuna.load_study(study_name="lr", storage="sqlite:///searches.db").trials) == 2
