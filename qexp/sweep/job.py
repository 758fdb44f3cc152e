"""One job of a sweep: run what is not done yet, record what goes wrong, and let the others go on."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from qexp.config.messages import explain
from qexp.config.schema import validate
from qexp.errors import InputError, interrupts_pass
from qexp.report.sweeps import PRUNED, Job
from qexp.runfolder import COMPLETED, RESULT_FILE, RunFolder, relative
from qexp.stages.resume import is_of
from qexp.sweep.folders import place
from qexp.sweep.globs import as_typed
from qexp.sweep.plan import SHARED, SWEEP_DIR, folder_of, varied
from qexp.tracking import StoppedEarly
from qexp.tracking.options import apply_environment

log = logging.getLogger(__name__)

CONSOLE_FILE = "console.txt"
NOTHING: dict[str, Any] = {"training": None, "leaderboard": []}
"""What a result says of a job that came to none."""


def run_job(config: DictConfig, hydra_config: Any) -> float | None:
    """Run a job unless its folder holds its result.

    A job that was cut off goes on from its last checkpoint. Whatever it raises ends in its `result.json`;
    what it prints, in `console.txt`: side by side, jobs would write over each other's tables and progress.

    Args:
        config: The job's composed configuration.
        hydra_config: Hydra's own, of the job.

    Returns:
        Mean of the environment's metric of what the job is about; None if it failed.
    """
    made = RunFolder.of_job(hydra_config).path
    sweep = Path(os.environ.get(SWEEP_DIR) or folder_of(hydra_config.sweep.dir))
    overrides = as_typed(hydra_config, "task")
    folder = RunFolder(place(made, overrides, sweep))
    name = f"job {hydra_config.job.num}: {' '.join(varied(overrides)) or 'defaults'}"
    start = time.perf_counter()
    found = _completed(folder.path)
    if found is None:
        folder.forget_result()  # of a job that failed: it would pass for this attempt's
        if folder.path != made:
            print(f"{name}: writes to {relative(folder.path)}", flush=True)
    try:
        with interrupts_pass():
            apply_environment(config, overrides)
            if found is None:
                _run(config, folder, name, sweep)
            else:
                _check(found, config, folder)
    except StoppedEarly as stop:
        folder.write_json(RESULT_FILE, {"status": PRUNED, "error": str(stop)} | NOTHING)
        print(f"{name}: {stop}", flush=True)
        return None
    except Exception as error:
        # Whatever it is, it is not the end of the sweep.
        log.info("the job failed", exc_info=True)
        if found is None:
            _record(error, folder)
        print(f"{name}: FAILED: {explain(error)[:300]}", flush=True)
        return None
    job = Job.read(folder.path, {})
    objective = job.objective
    took = "done before" if found else f"{time.perf_counter() - start:.1f} s"
    print(
        f"{name}: {took}"
        + ("" if job.metric is None else f", {objective:.1f} {job.metric.unit} per episode"),
        flush=True,
    )
    return objective


def _run(config: DictConfig, folder: RunFolder, name: str, sweep: Path) -> None:
    from qexp.experiment import run  # all that a sweep whose jobs are done can do without

    if config.algo.get("env_steps") is not None:
        print(f"{name}: training", flush=True)
    with (folder.path / CONSOLE_FILE).open("a", encoding="utf-8") as console, redirect_stdout(console):
        run(config, folder, resume=True, shared=sweep / SHARED)


def _completed(folder: Path) -> dict[str, Any] | None:
    file = folder / RESULT_FILE
    if not file.is_file():
        return None
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result if result["status"] == COMPLETED else None


def _check(found: dict[str, Any], config: DictConfig, folder: RunFolder) -> None:
    if not is_of(found["config_hash"], validate(config), folder.path / "config.yaml"):
        raise InputError(f"{folder.path} holds the result of another configuration: delete it to run again")


def _record(error: Exception, folder: RunFolder) -> None:
    """Leave a result.json, unless the run left one of its own."""
    if not (folder.path / RESULT_FILE).is_file():
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_json(RESULT_FILE, {"status": "FAILED", "error": explain(error)} | NOTHING)
