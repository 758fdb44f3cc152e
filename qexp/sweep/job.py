"""One job of a sweep: run what is not done yet, record what goes wrong, and let the others continue.

Hydra makes jobs folders, however the user names these. A job is the same if its overrides are, so that a
sweep that is started again finds it under whatever name: where each job writes is noted in the sweep's
folder, and each folder says whose it is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from qexp.config.messages import explain
from qexp.config.schema import validate
from qexp.errors import InputError, interrupts_pass
from qexp.report.sweeps import JOBS, PRUNED, Job
from qexp.runfolder import COMPLETED, FAILED, RESULT_FILE, RunFolder, relative
from qexp.stages.resume import is_of
from qexp.sweep.plan import SHARED, SWEEP_DIR, as_typed, folder_of, job_folder, varied
from qexp.tracking import StoppedEarly
from qexp.tracking.local import apply_environment

log = logging.getLogger(__name__)

CONSOLE_FILE = "console.txt"
OWNER = ".job"
"""File in a job's folder: its name."""


def run_job(config: DictConfig, hydra_config: Any) -> float | None:
    """Run a job unless its folder holds its result.

    A job that was cut off continues from its last checkpoint. Whatever it raises ends in its `result.json`;
    what it prints, in `console.txt`: side by side, jobs would write over each other's tables and progress.

    Args:
        config: The job's composed configuration.
        hydra_config: Hydra's own, of the job.

    Returns:
        Mean of the environment's metric of the job's scheduler; None if it failed.
    """
    made = Path(hydra_config.runtime.output_dir)
    sweep = Path(os.environ.get(SWEEP_DIR) or folder_of(hydra_config.sweep.dir))
    overrides = as_typed(hydra_config, "task")
    folder = RunFolder(place(made, overrides, sweep))
    name = f"job {hydra_config.job.num}: {' '.join(varied(overrides)) or 'defaults'}"
    start = time.perf_counter()
    is_done = folder.status == COMPLETED
    if not is_done:
        folder.forget_result()  # of a job that failed: it would pass for this attempt's
        if folder.path != made:
            print(f"{name}: writes to {relative(folder.path)}", flush=True)
    try:
        with interrupts_pass():
            apply_environment(config, overrides)
            if is_done:
                _check(config, folder)
            else:
                _run(config, folder, name, sweep)
    except StoppedEarly as stop:
        _record(folder, PRUNED, str(stop))
        print(f"{name}: {stop}", flush=True)
        return None
    except Exception as error:
        # Whatever it is, it is not the end of the sweep.
        log.info("the job failed", exc_info=True)
        if not folder.result:  # the run may have left one of its own
            _record(folder, FAILED, explain(error))
        print(f"{name}: FAILED: {explain(error)[:300]}", flush=True)
        return None
    job = Job.read(folder.path, {})
    took = "done before" if is_done else f"{time.perf_counter() - start:.1f} s"
    mean = ""
    if job.metric is not None and job.figures:
        mean = f", {job.objective:.1f} {job.metric.unit} per episode"
    print(f"{name}: {took}{mean}", flush=True)
    return job.objective


def _run(config: DictConfig, folder: RunFolder, name: str, sweep: Path) -> None:
    from qexp.experiment import run  # all that a sweep whose jobs are done can do without

    if config.algo.get("env_steps") is not None:
        print(f"{name}: training", flush=True)
    with (folder.path / CONSOLE_FILE).open("a", encoding="utf-8") as console, redirect_stdout(console):
        run(config, folder, resume=True, shared=sweep / SHARED)


def _check(config: DictConfig, folder: RunFolder) -> None:
    if not is_of(folder.result["config_hash"], validate(config), folder.path / "config.yaml"):
        raise InputError(f"{folder.path} holds the result of another configuration: delete it to run again")


def _record(folder: RunFolder, status: str, error: str) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_json(RESULT_FILE, {"status": status, "error": error, "training": None, "leaderboard": []})


def place(made: Path, overrides: Sequence[str], sweep: Path) -> Path:
    """Return the folder a job is to write to, and note it.

    It is the one the job had before, else the one that Hydra made, unless that is another job's: all jobs of
    a sweep may be given the same one, and numbers go to others when more values join it.

    Args:
        made: What Hydra made for the job.
        overrides: The job's.
        sweep: The sweep's folder.
    """
    name = job_folder(overrides)
    note = sweep / JOBS / f"{name}.json"
    before: list[Path] = []
    if note.is_file():
        written = json.loads(note.read_text(encoding="utf-8"))["folder"]
        before.append(Path(os.path.normpath(sweep / written)))
    usual = sweep / name
    # Neither in the sweep's folder itself nor in one around it, where other runs lie.
    possible = (folder for folder in (*before, made, usual) if not sweep.is_relative_to(folder))
    folder = next((folder for folder in possible if _claim(folder, name)), usual)
    if folder != made and (made / ".hydra").is_dir():
        shutil.copytree(made / ".hydra", folder / ".hydra", dirs_exist_ok=True)
    if [folder] != before:
        note.parent.mkdir(parents=True, exist_ok=True)
        content = {"folder": os.path.relpath(folder, sweep), "overrides": list(overrides)}
        RunFolder(note.parent).write_json(note.name, content)
    return folder


def _claim(folder: Path, name: str) -> bool:
    """Make a folder a job's, unless it is another's."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / OWNER
    try:
        with owner.open("x", encoding="utf-8") as file:
            file.write(name)
    except FileExistsError:
        return owner.read_text(encoding="utf-8") == name
    return True
