"""How overrides and flags are read: their order, values that need quotes, keys that cannot be removed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from cases import quick_first
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from qexp.config.typed import _in_quotes, readable

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")
ODD = "müller's runs (1), a=b"


def refusal(ended) -> str:
    assert ended.status == 2, ended
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    return ended.err


@pytest.mark.parametrize(
    "arguments",
    quick_first(
        [
            ["seed=0", "-m", "seed=1,2"],
            ["-m", "seed=1,2"],
            ["seed=1,2", "--multirun"],
            ["seed=0", "--config-dir", "conf", "-m", "seed=1,2"],
        ]
    ),
)
def test_flags_may_stand_anywhere(arguments, qexp):
    Path("conf").mkdir()
    ended = qexp(*QUICK, *arguments)
    assert ended.status == 0, ended.err
    assert "2 of 2 jobs completed" in ended.out


def test_a_flags_value_is_no_override():
    arguments = ["seed=1", "-cd", "a=b", "--cfg", "job", "-p", "env", "env.tasks=4"]
    assert readable(arguments) == ["seed=1", "env.tasks=4", "-cd", "a=b", "--cfg", "job", "-p", "env"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1))
def test_a_quoted_value_is_read_as_it_is(value):
    if "${" not in value:
        assert OverridesParser.create().parse_override(f"key={_in_quotes(value)}").value() == value


def test_the_path_of_a_file_needs_no_quotes(qexp, tmp_path, write_dataset):
    folder = tmp_path / ODD
    folder.mkdir()
    write_dataset(folder / "ü.csv", [(0, "ghz", 3, {27: 10}), (1, "ghz", 3, {27: 10})])
    fleet = folder / "flotte é.yaml"
    assert qexp("fleet", "snapshot", "fake", str(fleet), "kolkata").status == 0
    files = [
        "backend=file",
        f"backend.path={fleet}",
        "env/workload=csv",
        f"env.workload.path={folder / 'ü.csv'}",
    ]
    ended = qexp(*QUICK, *files, "hydra.run.dir=run")
    assert (ended.status, ended.err) == (0, "")
    assert yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))["backend"]["path"] == str(
        fleet
    )


@pytest.mark.parametrize(
    "override",
    quick_first(
        [
            "backend.path=/home/müller/a b.csv",
            "env.workload.path=a(1).csv",
            "scheduler.path=x=1/policy",
            "resume=outputs/sweeps/s/scheduler=mct-seed=0",
            "tracking.run_name=it's ü",
            "env.workload.families=[é,ghz]",
        ],
        2,
    ),
)
def test_a_value_that_wants_quotes_is_shown_with_them(override, qexp):
    error = refusal(qexp(*QUICK, override))
    (typed,) = shlex.split(error[error.index(", here ") + len(", here ") :])
    key, _, value = override.partition("=")
    parsed = OverridesParser.create().parse_override(typed)
    assert (parsed.key_or_group, parsed.value()) == (key, value if value[0] != "[" else ["é", "ghz"])


def test_in_a_sweep_each_value_gets_its_quotes(qexp):
    error = refusal(qexp("-m", *QUICK, "backend=file", "backend.path=ä.yaml,ö.yaml"))
    assert """'backend.path="ä.yaml","ö.yaml"'""" in error


@pytest.mark.parametrize(
    "key", quick_first(["plots", "seed", "eval", "eval.baselines", "env.tasks", "ray", "resume"], 5)
)
@pytest.mark.parametrize("mode", [(), ("-m",)])
def test_a_key_cannot_be_removed(key, mode, qexp):
    assert f"~{key}: {key} cannot be removed; give it a value: {key}=VALUE" in refusal(qexp(*mode, f"~{key}"))


@pytest.mark.slow
def test_nor_can_a_group_but_presets_can(qexp):
    assert "algo=OPTION" in refusal(qexp("~algo"))
    assert "env/arrivals=OPTION" in refusal(qexp("~env/arrivals"))
    assert "'nope' does not exist" in refusal(qexp("~nope"))
    assert qexp(*QUICK, "~experiment").status == 0


@pytest.mark.parametrize(
    ("override", "named"),
    quick_first(
        [
            ("backend.nodes=1000", "backend.machines"),
            ("backend.machine=1000", "did you mean 'backend.machines'? (backend=synthetic)"),
            ("env.reward.weight=1", "env.reward.fidelity_weight"),
            ("tracking.name=x", "tracking.model_name"),
            ("deploy.nodes=3", "deploy.tasks"),
            ("env.window=3", "env.arrivals.window"),
        ],
        3,
    ),
)
def test_a_mistyped_key_is_looked_for_in_its_own_section_first(override, named, qexp):
    error = refusal(qexp(override))
    assert named in error
    section = override.partition(".")[0]
    assert not re.search(rf"'(?!{section})\w+\.[\w.]+'", error), error
