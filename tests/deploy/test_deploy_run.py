"""Campaigns through the command line: plan, run folder, refusals, going on after a death."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qexp.deploy.journal import Journal, State

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
    assert qexp(f"resume={folder}").status == 2  # complete


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy.schedulers=[mct,fastest]"], ["deploy.schedulers", "fastest", "least_busy"]),
        (["deploy.schedulers=[clairvoyant]"], ["clairvoyant", "future"]),
        (["scheduler=clairvoyant"], ["clairvoyant", "future"]),
        (["deploy.schedulers=[mct,policy]"], ["policy", "scheduler.path"]),
        (["deploy.clock=slow"], ["deploy.clock", "real, compressed, immediate"]),
        (["deploy.tasks=0"], ["deploy.tasks"]),
        (["deploy.task=3"], ["deploy.task", "deploy.tasks"]),
    ],
)
def test_what_cannot_be_deployed_is_refused_in_one_line(qexp, tmp_path, arguments, words):
    ended = qexp(*QUICK, "deploy=simulator", *arguments)
    assert ended.status == 2
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    assert all(word in ended.err for word in words), ended.err
    assert not list((tmp_path / "cwd").iterdir())


def test_a_new_campaign_does_not_bury_another(qexp, tmp_path):
    where = f"hydra.run.dir={tmp_path / 'one'}"
    folder_of(qexp(*QUICK, "deploy=simulator", "deploy.tasks=4", where))
    first = json.loads((tmp_path / "one" / "result.json").read_text())["deployment"]["campaign"]
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
