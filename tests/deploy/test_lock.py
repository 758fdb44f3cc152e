"""One process at a time runs a campaign, and a dead one is in nobody's way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qexp.deploy.campaign.lock import FILE, locked
from qexp.errors import InputError

ROOT = Path(__file__).parents[2]
QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[mct]", "env.tasks=5")
HOLD = """
import sys, time
from pathlib import Path
from qexp.deploy.campaign.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that runs the campaign in the folder `run`."""
    (tmp_path / "run").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_until_the_first_is_dead(holder, tmp_path):
    with (
        pytest.raises(InputError, match=rf"another process .* \(pid {holder.pid}\)"),
        locked(tmp_path / "run"),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    for _ in range(2):
        with locked(tmp_path / "run"):
            assert (tmp_path / "run" / FILE).read_text() == f"{os.getpid()}\n"


@pytest.mark.slow
def test_a_command_in_the_folder_of_another_is_refused_before_it_computes(holder, qexp, tmp_path):
    run = tmp_path / "run"
    ended = qexp(*QUICK, "deploy=simulator", f"hydra.run.dir={run}")
    assert ended.status == 2
    assert re.fullmatch(rf"qexp: \S*run: another process [^\n]+ \(pid {holder.pid}\)\n", ended.err), ended.err
    assert "total completion" not in ended.out
    assert {path.name for path in run.iterdir()} >= {FILE}
    assert not (run / "journal.db").exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert qexp(*QUICK, "deploy=simulator", f"hydra.run.dir={run}").status == 0
