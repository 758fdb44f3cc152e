"""What a sweep is called, where it lies, and when its folder is another one's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.sweep.plan import SWEEP_DIR, SWEPT, Plan, job_folder, sweep_dir

OVERRIDES = st.lists(
    st.sampled_from(["seed=1", "scheduler=mct", "env.tasks=4", "eval.baselines=[mct,met]", "+a.b=c d"]),
    unique=True,
)


@given(OVERRIDES, st.randoms())
def test_the_order_of_overrides_and_where_it_is_logged_make_no_other_job(overrides, random):
    shuffled = random.sample(overrides, len(overrides))
    digest = job_folder(overrides).rpartition("-")[2]
    assert job_folder([*shuffled, "tracking=off", "sweep=x"]).rpartition("-")[2] == digest
    assert job_folder([*overrides, "plots=false"]).rpartition("-")[2] != digest


def test_a_job_is_named_after_what_varies(monkeypatch):
    monkeypatch.setenv(SWEPT, "scheduler,seed")
    name = job_folder(["scheduler=mct", "env.tasks=4", "seed=1"])
    assert name.startswith("scheduler=mct,seed=1-")
    assert len(job_folder([f"scheduler={'x' * 300}"])) < 100
    assert "/" not in job_folder(["seed=1", "scheduler=a/b"])


def test_a_sweep_is_named_by_the_user_or_after_its_command(monkeypatch):
    monkeypatch.delenv(SWEEP_DIR, raising=False)
    command = ["seed=1,2", "env.tasks=4"]
    assert sweep_dir("mine", None, command) == "outputs/sweeps/mine"
    unnamed = sweep_dir(None, None, command)
    assert unnamed == sweep_dir(None, None, [*reversed(command), "tracking=off"])
    assert unnamed != sweep_dir(None, None, ["seed=1,2,3", "env.tasks=4"])
    assert sweep_dir(None, "compare", command).startswith("outputs/sweeps/compare-")
    monkeypatch.setenv(SWEEP_DIR, "/somewhere")
    assert sweep_dir("mine", None, command) == "/somewhere"


@pytest.fixture
def plan(tmp_path):
    base = {"env.tasks": 4, "seed": 0, "algo.lr": 0.1}
    return Plan(tmp_path / "s", base, ["seed"], {"a": ["seed=0"], "b": ["seed=1"]})


def test_the_same_sweep_joins_its_folder_and_keeps_its_run(plan):
    first, run_id = plan.join()
    assert (first, run_id) == (plan, None)
    first.write("run7")
    more = replace(plan, jobs={"b": ["seed=1"], "c": ["seed=2"]})
    joined, run_id = more.join()
    assert run_id == "run7"
    assert list(joined.jobs) == ["a", "b", "c"]


def test_another_configuration_is_refused_with_what_differs(plan):
    plan.join()
    with pytest.raises(InputError, match=r"algo\.lr was 0\.1, now 0\.2; env\.tasks was 4, now None"):
        replace(plan, base={"seed": 0, "algo.lr": 0.2}).join()
    with pytest.raises(InputError, match="it varies seed, this one seed, scheduler"):
        replace(plan, swept=["seed", "scheduler"]).join()


def test_a_folder_of_something_else_is_refused(plan):
    plan.folder.mkdir()
    (plan.folder / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds no sweep"):
        plan.join()
