"""Ctrl-C and SIGTERM end a command in one line, and MLflow is told."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from cases import quick_first

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")


def test_an_interrupt_is_no_traceback(qexp, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qexp.experiment.run", interrupted)
    ended = qexp(*QUICK)
    assert (ended.status, ended.err) == (130, "qexp: interrupted\n")


@pytest.fixture
def as_in_a_new_process():
    """SIGTERM as a process begins with it: a Ray that other tests share has a handler of its own."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_a_new_process")
def test_sigterm_ends_a_command_like_an_interrupt(qexp, monkeypatch):
    def wait(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(9)

    monkeypatch.setattr("qexp.stages.evaluation.evaluate", wait)
    ended = qexp(*QUICK, "tracking=local", "deploy=simulator", "deploy.tasks=4", "hydra.run.dir=run")
    assert (ended.status, ended.err) == (143, "qexp: terminated\n")
    assert ended.out.endswith("continue with: python -m qexp resume=run\n")
    with closing(sqlite3.connect("outputs/mlflow.db")) as store:
        assert store.execute("select status from runs").fetchall() == [("KILLED",)]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
@pytest.mark.parametrize("sweep", quick_first([[], ["-m", "sweep=s", "seed=0,1"]]))
def test_an_interrupt_is_one_even_if_a_library_stumbles_over_it(qexp, monkeypatch, sweep):
    def stumble(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            [].pop()

    monkeypatch.setattr("qexp.stages.evaluation.evaluate", stumble)
    ended = qexp(*sweep, *QUICK, "tracking=local")
    assert (ended.status, ended.err) == (130, "qexp: interrupted\n")
    (result,) = Path("outputs").rglob("result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "KILLED"
    with closing(sqlite3.connect("outputs/mlflow.db")) as store:
        assert set(store.execute("select status from runs")) == {("KILLED",)}
