"""The command line: Hydra composes the config, `qexp.experiment.run` runs it, an error becomes one line."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import qexp
from qexp.config.commands import RUNS, completed_here, folder_of_line, overview, run_command
from qexp.config.composition import conf_dir, register
from qexp.config.messages import explain, help_text
from qexp.config.outside import (
    BROKEN,
    config_folders,
    outside_options,
    register_named_in,
    take_in,
    with_names_of_classes,
)
from qexp.config.typed import COMPLETION, readable
from qexp.deploy.campaign.journal import FILE as JOURNAL
from qexp.errors import FULL_ERROR, DivergenceError, InputError, answered, interrupts_pass
from qexp.fleet.account import refuse_secrets
from qexp.runfolder import RUN_FILE, RunFolder, relative, resume_with
from qexp.stages.resume import composable
from qexp.sweep.job import run_job
from qexp.sweep.plan import as_typed, job_folder, sweep_dir
from qexp.sweep.session import SweepSession, closed_at_the_end

log = logging.getLogger(__name__)

DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}
"""Errors of a file system for reasons of its own; others may be bugs."""
DATABASE = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PERM),
}
"""The same of SQLite: primary result codes, which are the lowest byte of a code."""


def _run_dir(resume: str | None, fresh: str) -> str:
    """Return the run folder of a command: the one to resume, if it is one, or a fresh one."""
    return resume if resume and (Path(resume) / RUN_FILE).is_file() else fresh


# Here and not in `main`: processes that only run a sweep's jobs need them too.
OmegaConf.register_new_resolver("qexp_sweep_dir", sweep_dir, replace=True)
OmegaConf.register_new_resolver("qexp_job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("qexp_run_dir", _run_dir, replace=True)
# Beside an earlier command's files, Hydra writes none.
OmegaConf.register_new_resolver("qexp_hydra_folder", lambda run: None if run else ".hydra", replace=True)


class _Jobs:
    """The jobs of one command: what Hydra calls, and why they could not be run."""

    def __init__(self) -> None:
        self.started = False
        self.folder: Path | None = None  # of the run, once that has begun
        self.error: Exception | None = None  # of the input, or of the disk
        self.failure: str | None = None  # of the run, in a line

    def __getstate__(self) -> dict[str, Any]:
        """Take options of somebody else's along to the process that runs a job."""
        return vars(self) | {"outside": outside_options()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        take_in(state.pop("outside"))
        vars(self).update(state)

    def __call__(self, config: DictConfig) -> float | None:
        self.started = True
        hydra_config = HydraConfig.get()
        # hydra.job.chdir moves neither the store nor relative paths of inputs.
        os.chdir(hydra_config.runtime.cwd)
        if hydra_config.mode is RunMode.MULTIRUN:
            return run_job(config, hydra_config)
        from qexp.experiment import start  # everything that --help and --cfg can do without

        self.folder = Path(hydra_config.runtime.output_dir)
        typed = [*as_typed(hydra_config, "task"), *as_typed(hydra_config, "hydra")]
        try:
            with interrupts_pass():
                self.failure = start(config, RunFolder(self.folder), typed).error
        except DivergenceError as error:
            self.failure = f"{error}; what there is of it: {relative(self.folder)}"
        except Exception as error:  # raised to Hydra, it would come with Hydra's own words
            log.info("the run failed", exc_info=True)  # into the log file, if that can be written
            self.error = error
        return None

    def refused_by_disk(self, error: OSError | sqlite3.OperationalError) -> int:
        """Say in one line what the disk refused, and how to continue; return the exit status."""
        where, reason = self.folder, str(error)
        if isinstance(error, OSError):
            where, reason = error.filename or self.folder, str(error.strerror)
        line = f"{relative(Path(where))}: {reason}" if where else reason
        if self.folder is not None and (self.folder / JOURNAL).exists():
            line += f"; when that is mended, continue with {resume_with(self.folder)}"
        print(f"qexp: {line}", file=sys.stderr)
        return 1 if self.started else 2


def _of_the_disk(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DATABASE


@contextmanager
def _errors_are_ours(*, log_errors: bool) -> Iterator[None]:
    """Have Hydra hand every exception to us, instead of printing its own text and exiting with 1.

    A log file that cannot be written to, on a full disk, has a traceback printed for each line if so wished.
    """
    before, logging.raiseExceptions = (os.environ.get(FULL_ERROR), logging.raiseExceptions), log_errors
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        variable, logging.raiseExceptions = before
        os.environ.pop(FULL_ERROR)
        if variable is not None:
            os.environ[FULL_ERROR] = variable


def main() -> int:
    """Run the command line.

    Returns:
        Exit status: 0 done, 1 failed, 2 the input cannot be used, 130 interrupted, 143 terminated.
    """
    return answered(partial(_command, sys.argv[1:]))


def _command(arguments: list[str]) -> int:
    """Run the command that a command line begins with, or what Hydra makes of it."""
    status = run_command(arguments)
    if status is not None:
        return status
    if arguments and arguments[0] in RUNS:
        arguments = [*RUNS[arguments[0]], *arguments[1:]]
    if "--version" in arguments:
        print(f"qexp {qexp.__version__}")
        return 0
    if COMPLETION & set(arguments):
        arguments = [*arguments, *folder_of_line()]
        if completed_here(arguments):
            return 0
    arguments = with_names_of_classes(arguments)
    own = config_folders(arguments)
    register_named_in(own)
    for package, reason in ({} if COMPLETION & set(arguments) else BROKEN).items():
        print(f"qexp: the options of {package} are left out: {reason}", file=sys.stderr)
    if {"--help", "-h"} & set(arguments):
        # Hydra's own help looks at every file before it prints a line.
        print(help_text(conf_dir(), overview()))
        return 0
    register(own)
    return _compose(arguments)


def _compose(arguments: list[str]) -> int:
    """Let Hydra compose what was typed and run it, or show it; return the exit status."""
    jobs = _Jobs()
    wants_traceback = os.environ.get(FULL_ERROR) == "1"
    try:
        refuse_secrets(arguments)
        sys.argv[1:] = composable(readable(arguments))
        with _errors_are_ours(log_errors=wants_traceback), closed_at_the_end(), interrupts_pass():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(jobs)()
        if jobs.error is not None:
            raise jobs.error
    except (InputError, HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    except (OSError, sqlite3.OperationalError) as error:
        missing = isinstance(error, FileNotFoundError) and not jobs.started
        if wants_traceback or not (missing or _of_the_disk(error)):
            raise
        return jobs.refused_by_disk(error)
    except (ValueError, YAMLError) as error:
        if jobs.started:
            raise
        if isinstance(error.__cause__, OSError):  # the log file cannot be written
            return jobs.refused_by_disk(error.__cause__)
        # How Hydra refuses, for example, an option that is a number, or a config file that is not YAML.
        reason = " ".join(str(error).split())
        raise InputError(f"{reason}: {' '.join(sys.argv[1:])}") from error
    if jobs.failure is not None:
        print(f"qexp: {jobs.failure}", file=sys.stderr)
        return 1
    return SweepSession.current.status if SweepSession.current else 0
