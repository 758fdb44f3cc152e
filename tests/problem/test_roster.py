"""Who decides in a run: names in results, settings that make rows of their own, and what a failure does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qexp.config.composition import compose
from qexp.config.schema import settled, validate
from qexp.errors import InputError
from qexp.placement.schedulers.mct import MCT
from qexp.problem.roster import Roster, label, option_in

QUICK = ("eval.episodes=2", "env.tasks=4", "tracking=off", "plots=false")


def roster(*overrides: str) -> Roster:
    return Roster.of(validate(compose(list(overrides), None)[1]))


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ({"_option_": "mct"}, "mct"),
        ({"_option_": "weighted"}, "weighted"),
        ({"_option_": "weighted", "fidelity_weight": 0.5}, "weighted"),
        ({"_option_": "weighted", "fidelity_weight": 0.9}, "weighted fidelity_weight=0.9"),
        ({"_option_": "policy", "path": "here/policy"}, "policy path=here/policy"),
    ],
)
def test_a_name_says_the_settings_that_are_not_the_default(node, name):
    assert label(settled(node, "scheduler")) == name
    assert option_in(name) == node["_option_"]


def test_the_policy_that_a_run_is_about_is_just_that():
    assert label(settled({"_option_": "policy", "path": "x"}, "scheduler"), chosen=True) == "policy"


def test_two_settings_of_an_option_are_two_deciders():
    found = roster(
        "scheduler=weighted",
        "scheduler.fidelity_weight=0.9",
        "eval.baselines=[weighted,{weighted:{fidelity_weight:0.2}},mct]",
    )
    names = ["weighted fidelity_weight=0.9", "weighted", "weighted fidelity_weight=0.2", "mct"]
    assert (found.chosen, found.compared) == (names[0], names)
    assert [getattr(one, "fidelity_weight", None) for one in found.evaluated.values()] == [
        0.9,
        0.5,
        0.2,
        None,
    ]
    assert found.campaign == [names[0]]
    assert found.shared == names[1:]


def test_the_chosen_one_listed_again_is_no_second_row():
    same = "{weighted:{fidelity_weight:0.9}}"
    found = roster(
        "scheduler=weighted", "scheduler.fidelity_weight=0.9", f"eval.baselines=[{same},{same},mct]"
    )
    assert found.compared == ["weighted fidelity_weight=0.9", "mct"]


def test_equal_settings_are_one_decider_however_they_are_written():
    settings = ("1", "1.0", '"1"', "1e0")
    found = roster(
        f"eval.baselines=[{','.join(f'{{weighted:{{fidelity_weight:{one}}}}}' for one in settings)}]"
    )
    assert found.compared == ["mct", "weighted fidelity_weight=1.0"]
    assert found.schedulers["weighted fidelity_weight=1.0"].fidelity_weight == 1.0
    assert label(settled({"_option_": "weighted", "fidelity_weight": "0.5"}, "scheduler")) == "weighted"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["eval.baselines=[{policy:{path:nowhere}}]"],
            "eval.baselines.policy.path: no policy bundle at nowhere",
        ),
        (
            ["deploy=simulator", "deploy.schedulers=[mct,{policy:{path:nowhere}}]"],
            "deploy.schedulers.policy.path: no policy bundle at nowhere",
        ),
        (["scheduler=policy", "scheduler.path=nowhere"], "scheduler.path: no policy bundle at nowhere"),
        (
            ["eval.baselines=[mct,policy]"],
            "eval.baselines: policy: needs a path: write {policy:{path:FOLDER}}",
        ),
    ],
)
def test_a_policy_that_is_not_there_is_refused_where_it_was_named(overrides, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        roster(*overrides)


def test_a_listed_policy_without_a_path_is_the_chosen_one():
    path = Path(__file__).parents[1] / "old_runs" / "policy"
    found = roster("scheduler=policy", f"scheduler.path={path}", "eval.baselines=[mct,policy]")
    assert found.compared == ["policy", "mct"]


def test_one_of_another_environment_is_refused():
    with pytest.raises(
        InputError, match=r"eval\.baselines: 'asap' is no scheduler of env=placement; known: "
    ):
        roster("eval.baselines=[asap]")


@pytest.mark.parametrize(("chosen", "status"), [("mct", 1), ("met", 0)])
def test_one_that_fails_has_a_row_and_the_others_finish(chosen, status, qexp, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("no finish")

    monkeypatch.setattr(MCT, "cost", fail)
    ended = qexp(
        f"scheduler={chosen}", "eval.baselines=[mct,met,random]", *QUICK, f"hydra.run.dir={tmp_path}/run"
    )
    assert ended.status == status
    assert ended.err == ("qexp: mct failed: ZeroDivisionError: no finish\n" if status else "")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["decider"]) == ("FAILED" if status else "COMPLETED", chosen)
    means = {row["scheduler"]: row["total_completion_time_mean"] for row in result["leaderboard"]}
    assert means.keys() == {"mct", "met", "random"}
    assert [name for name, mean in means.items() if mean is None] == ["mct"]
    for name in ("leaderboard.csv", "episodes.csv", "tasks.csv", "config.yaml"):
        assert (tmp_path / "run" / name).is_file()
