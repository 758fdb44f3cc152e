"""An interrupt in the middle of a write leaves neither a locked database nor a run without an end."""

import os
import signal
import time

import pytest

from qexp.tracking import Local
from qexp.tracking.interrupts import uninterrupted


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Address of a store that exists."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('interrupts') / 'mlflow.db'}"
    with Local(uri=uri).start():
        return uri


@pytest.fixture
def read(store):
    from mlflow import MlflowClient

    return MlflowClient(store)


def recorded_run(read, name):
    (run,) = read.search_runs(
        [read.get_experiment_by_name("qexp").experiment_id], f"attributes.run_name = '{name}'"
    )
    return run


@pytest.mark.slow
def test_a_run_that_is_interrupted_while_it_is_created_is_ended(store, read, tmp_path):
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    came = []

    def interrupt(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO runs ") and not came:
            came.append(statement)
            os.kill(os.getpid(), signal.SIGINT)

    def begin():
        with Local(uri=store).start("interrupted at first", folder=tmp_path):
            came.append("too far")

    event.listen(Engine, "after_cursor_execute", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            begin()
    finally:
        event.remove(Engine, "after_cursor_execute", interrupt)
    assert len(came) == 1
    assert recorded_run(read, "interrupted at first").info.status == "KILLED"


def test_an_interrupt_leaves_no_transaction_open(store, read, tmp_path, monkeypatch):
    from sqlalchemy.orm import loading

    original = loading._instance_processor
    began = []

    def interrupt(*arguments, **settings):
        # Raised here, between a query and its rows, an interrupt leaves the connection in nobody's hands.
        monkeypatch.setattr(loading, "_instance_processor", original)
        began.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **settings)

    def record():
        with Local(uri=store).start("interrupted later", folder=tmp_path) as tracker:
            monkeypatch.setattr(loading, "_instance_processor", interrupt)
            tracker.log_params({"a": 1})
            began.append(0.0)

    with pytest.raises(KeyboardInterrupt):
        record()
    assert len(began) == 1
    assert time.monotonic() - began[0] < 15  # of a locked store MLflow despairs after 20 s
    run = recorded_run(read, "interrupted later")
    assert (run.info.status, run.data.params) == ("KILLED", {"a": "1"})


def interrupted_twice(uri, reached):
    with uninterrupted(uri):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the first")
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the second")


# A server may be silent, and there is nothing to lose in a request to it.
@pytest.mark.parametrize(("uri", "survived"), [("sqlite:///mlflow.db", ["the first"]), ("http://server", [])])
def test_the_first_interrupt_waits_for_a_database_and_the_second_does_not(uri, survived):
    reached, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted_twice(uri, reached)
    assert reached == survived
    assert signal.getsignal(signal.SIGINT) is before
