"""Hyperparameter search: what it draws, that it learns, and that it goes on where it was cut off."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

optuna = pytest.importorskip("optuna", reason="the extra [search] is not installed")

from hydra_plugins.qexp_optuna_sweeper._search import Search, space  # noqa: E402
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

QUICK = ("plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]", "tracking=off")


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
        ((override,),) = search.ask(1)
        search.tell([(float(override.partition("=")[2]) - 3.0) ** 2])


def test_a_search_finds_the_minimum_and_remembers_it(tmp_path):
    search = Search(tmp_path, of("x=interval(-10.0,10.0)"), seed=0)
    minimise(search, 40)
    x = float(search.best().partition("x=")[2].partition(",")[0])
    assert abs(x - 3.0) < 1.0
    again = Search(tmp_path, of("x=interval(-10.0,10.0)"), seed=0)
    assert (again.finished, again.best()) == (40, search.best())


def test_what_was_cut_off_is_asked_for_again_and_what_failed_is_not(tmp_path):
    search = Search(tmp_path, of("x=interval(-10.0,10.0)"), seed=0)
    search.ask(1)
    search.tell([None])
    (cut_off,) = search.ask(1)
    again = Search(tmp_path, of("x=interval(-10.0,10.0)"), seed=0)
    assert again.finished == 1
    assert again.ask(1) == [cut_off]


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
