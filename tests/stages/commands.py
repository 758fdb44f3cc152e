"""Runs as users type them: commands in processes of their own, which can be watched and killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "QEXP_TEST_MARK"
"""Environment variable by which the processes of one run are known."""

# A shell starts background jobs with SIGINT ignored, and children inherit that: as in a terminal instead.
COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("qexp", run_name="__main__", alter_sys=True)
"""


def start(*arguments, cwd, mark=""):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a command in a terminal has
    )


def complete(*arguments, cwd):
    """Run a command that must succeed; return what it printed."""
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    return out


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def processes(mark):
    """Return the commands of the living processes that inherited the mark."""
    alive = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                alive.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return alive


def wait_until(condition, seconds, process=None):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
