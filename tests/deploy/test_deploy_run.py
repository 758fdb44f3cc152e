"""Campaigns through the command line: plan, run folder, refusals, going on after a death."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
from cases import quick_first

from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.executors.errors import RefusedError
from qexp.deploy.executors.executor import Order

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[mct,greedy]", "env.tasks=5")


def folder_of(ended) -> Path:
    assert ended.status == 0, ended
    return Path(re.search(r"run folder: (\S+)", ended.out)[1])


def test_a_campaign_leaves_its_journal_and_its_summary(qexp):
    ended = qexp(*QUICK, "deploy=simulator", "deploy.tasks=12", "deploy.block=5", "deploy.shadow=true")
    folder = folder_of(ended)
    assert "campaign on simulator" in ended.out
    assert "12 of 12 tasks are over" in ended.out
    result = json.loads((folder / "result.json").read_text())
    deployed = result["deployment"]
    assert (deployed["executor"], deployed["jobs"], deployed["tasks"]) == ("simulator", 12, {"done": 12})
    with Journal(folder / "journal.db") as journal:
        tasks = journal.tasks()
        assert all(task.state is State.DONE for task in tasks)
        assert len(journal.shadows()) == 12
        assert {scheduler for _, scheduler, _ in journal.shadows()} == {"greedy"}
    total = sum(task.finished - task.arrival for task in tasks)
    assert deployed["schedulers"]["mct"]["total_completion_time"] == pytest.approx(total)


@pytest.mark.slow
def test_several_schedulers_place_the_same_tasks(qexp):
    ended = qexp(*QUICK, "deploy=simulator", "deploy.schedulers=[mct,met,random]", "deploy.tasks=10")
    result = json.loads((folder_of(ended) / "result.json").read_text())
    assert {row["scheduler"] for row in result["leaderboard"]} == {"mct", "greedy"}
    figures = result["deployment"]["schedulers"]
    assert {name: row["done"] for name, row in figures.items()} == {"mct": 10, "met": 10, "random": 10}


def test_a_run_without_a_campaign_says_so(qexp):
    result = json.loads((folder_of(qexp(*QUICK)) / "result.json").read_text())
    assert result["deployment"] is None


def test_a_campaign_that_was_cut_off_is_gone_on_with(qexp):
    folder = folder_of(qexp(*QUICK, "deploy=simulator", "deploy.tasks=9"))
    before = json.loads((folder / "result.json").read_text())["deployment"]
    # As if the process had died in the middle: three tasks under way, three not begun, no result.
    with Journal(folder / "journal.db") as journal:
        for task in journal.tasks()[3:]:
            task.state = State.QUEUED if task.id < 6 else State.PLANNED
            task.finished = task.running = None
            if task.state is State.PLANNED:
                task.tag = task.job = task.node = task.decided = None
            journal.save(task, 1.0)
        untouched = journal.tasks()[:3]
    (folder / "result.json").unlink()
    ended = qexp(f"resume={folder}")
    assert folder_of(ended) == folder
    after = json.loads((folder / "result.json").read_text())["deployment"]
    assert after["campaign"] == before["campaign"]
    assert after["tasks"] == {"done": 9}
    with Journal(folder / "journal.db") as journal:
        assert journal.tasks()[:3] == untouched
        assert [task.attempt for task in journal.tasks()] == [1, 1, 1, 2, 2, 2, 1, 1, 1]
        (resumed,) = [event for event in journal.events() if event[3] == "resumed"]
    assert resumed[4] == "6 of 9 tasks not over"
    complete = qexp(f"resume={folder}")
    assert complete.status == 2
    assert complete.err.endswith(f"its result is in {folder / 'report.html'}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    quick_first(
        [
            (["deploy.schedulers=[mct,fastest]"], ["deploy.schedulers", "fastest", "least_busy"]),
            (["deploy.schedulers=[clairvoyant]"], ["clairvoyant", "future"]),
            (["scheduler=clairvoyant"], ["clairvoyant", "future"]),
            (["deploy.schedulers=[mct,policy]"], ["policy", "scheduler.path"]),
            (["deploy.schedulers=[mct,met,mct]"], ["deploy.schedulers: mct is there more than once"]),
            (["deploy.schedulers=mct"], ["write deploy.schedulers=[mct]"]),
            (["deploy.speed=1001"], ["deploy.speed=1001", "less than or equal to 1000"]),
            (["env.initial_backlog=10"], ["env.initial_backlog=10", "campaign"]),
            (["deploy=local", "deploy.max_width=1"], ["deploy.max_width=1: must be greater"]),
            (["deploy.clock=slow"], ["deploy.clock", "real, compressed, immediate"]),
            (["deploy.tasks=0"], ["deploy.tasks"]),
            (["deploy.task=3"], ["deploy.task", "deploy.tasks"]),
        ],
        3,
    ),
)
def test_what_cannot_be_deployed_is_refused_in_one_line(qexp, tmp_path, arguments, words):
    ended = qexp(*QUICK, "deploy=simulator", *arguments)
    assert ended.status == 2
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    assert all(word in ended.err for word in words), ended.err
    assert not list((tmp_path / "cwd").iterdir())


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupt_says_where_and_how_to_go_on(qexp, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("qexp.deploy.campaign.campaign.Campaign.run", interrupt)
        ended = qexp(*QUICK, "deploy=simulator", "deploy.tasks=4", "hydra.run.dir=run")
    assert ended.status == 130
    assert ended.out.index("run folder: run\n") < ended.out.index("completion time")
    assert ended.out.endswith("continue with: python -m qexp resume=run\n")
    assert folder_of(qexp("resume=run")) == Path("run")
    with monkeypatch.context() as patch:
        patch.setattr("qexp.stages.evaluation.evaluate", interrupt)
        assert "continue with" not in qexp(*QUICK, "hydra.run.dir=other").out  # it would begin again


@pytest.mark.slow
def test_a_campaign_in_which_all_fails_says_why_and_fails(qexp, monkeypatch):
    def refuse(self: object, order: Order) -> str:
        raise RefusedError("the machines are too cold" if order.node == "perth" else "out of helium")

    with monkeypatch.context() as patch:
        patch.setattr("qexp.deploy.simulator.SimulatorExecutor.submit", refuse)
        ended = qexp(
            *QUICK[1:],  # tracked
            "deploy=simulator",
            "deploy.tasks=4",
            "deploy.schedulers=[mct,met]",
            where := "hydra.run.dir=run",
        )
    assert (ended.status, ended.err) == (1, "qexp: no task of the campaign was done\n")
    after = ended.out[ended.out.index("gap report:") :]
    result = json.loads(Path("run/result.json").read_text())
    errors = result["deployment"]["errors"]
    assert sum(errors.values()) == 8
    for error, count in errors.items():
        assert f"{count} not done: {error}\n" in after
    assert result["status"] == "FAILED"
    with closing(connect("outputs/mlflow.db")) as store:
        assert store.execute("select status from runs").fetchall() == [("FAILED",)]
    refused = qexp("resume=run")
    assert refused.status == 2
    assert "no task of its campaign was done, see run/report.html; start a new run" in refused.err
    # Nothing was paid for: another run may take its place.
    assert qexp(*QUICK, "deploy=simulator", "deploy.tasks=4", where).status == 0


@pytest.mark.slow
def test_the_plan_of_a_simulation_promises_no_cost(qexp):
    schedulers = "deploy.schedulers=[met,mct,random]"
    ended = qexp(*QUICK, "deploy=simulator", schedulers, "deploy.tasks=4", "deploy.shadow=true")
    assert "met, mct, random" in ended.out
    assert re.search(r"shadows +met, mct, random, greedy", ended.out)
    assert "quantum time" not in ended.out
    assert "times as fast" not in ended.out
    assert "s of simulated service time" in ended.out
    with Journal(folder_of(ended) / "journal.db") as journal:
        placed = {task.id: task.scheduler for task in journal.tasks()}
        asked = {(placed[task], shadow) for task, shadow, _ in journal.shadows()}
    everybody = {"met", "mct", "random", "greedy"}
    assert asked == {(who, shadow) for who in everybody - {"greedy"} for shadow in everybody - {who}}
    alone = ["deploy.shadow=true", "deploy.tasks=4", "eval.baselines=[]"]
    ended = qexp(*QUICK, "deploy=simulator", *alone)
    assert "none: eval.baselines names no other scheduler" in ended.out


@pytest.mark.slow
def test_a_new_campaign_does_not_bury_another(qexp, tmp_path):
    where = f"hydra.run.dir={tmp_path / 'one'}"
    folder_of(qexp(*QUICK, "deploy=simulator", "deploy.tasks=4", where))
    first = json.loads((tmp_path / "one" / "result.json").read_text())["deployment"]["campaign"]
    stale = ["gap.json", "gap_tasks.csv", "calibration.json", "report.html", "plots/gap_tasks.png"]
    (tmp_path / "one" / "plots").mkdir()
    for name in stale:
        (tmp_path / "one" / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qexp.stages.evaluation.evaluate", interrupt)
        assert qexp(*QUICK, "deploy=simulator", where).status == 130
    assert not [name for name in stale if (tmp_path / "one" / name).exists()]
    # The first one is over: the folder is used again like that of any run.
    folder_of(qexp(*QUICK, "deploy=simulator", "deploy.tasks=6", where))
    second = json.loads((tmp_path / "one" / "result.json").read_text())["deployment"]
    assert second["campaign"] != first
    assert second["tasks"] == {"done": 6}
    with Journal(tmp_path / "one" / "journal.db") as journal:
        task = journal.tasks()[0]
        task.state = State.RUNNING
        journal.save(task, 9.0)
    ended = qexp(*QUICK, "deploy=simulator", "deploy.tasks=4", where)
    assert ended.status == 2
    assert "resume=" in ended.err
