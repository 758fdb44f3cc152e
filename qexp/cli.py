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
from qexp.stages.resume import composable, own_config, run_dir
from qexp.sweep.job import run_job
from qexp.sweep.plan import job_folder, sweep_dir
from qexp.sweep.session import SweepSession, closed_at_the_end
from qexp.tracking.local import apply_environment

log = logging.getLogger(__name__)

DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}
"""What a file system refuses for reasons of its own; other errors of the system may be bugs."""
DATABASE = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PERM),
}
"""The same of SQLite: primary result codes, which are the lowest byte of a code."""

# Here and not in `main`: processes that only run a sweep's jobs need them too.
OmegaConf.register_new_resolver("qexp_sweep_dir", sweep_dir, replace=True)
OmegaConf.register_new_resolver("qexp_job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("qexp_run_dir", run_dir, replace=True)
# Beside an earlier command's files, Hydra writes none.
OmegaConf.register_new_resolver(
    "qexp_hydra_folder", lambda resume: None if resume else ".hydra", replace=True
)


class _Jobs:
    """The jobs of one command: what Hydra calls, and what could not be run."""

    def __init__(self) -> None:
        self.started = False
        self.refused: list[Exception] = []
        self.folder: Path | None = None
        self.disk: OSError | sqlite3.OperationalError | None = None
        self.failure: str | None = None

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
        from qexp.experiment import run  # everything that --help and --cfg can do without

        try:
            with interrupts_pass(), RunFolder(Path(hydra_config.runtime.output_dir)) as folder:
                self.folder = folder.path
                _check_single(config)
                apply_environment(config, hydra_config.overrides.task)
                if config.resume is not None:
                    folder.kept = (folder.path / RUN_FILE).exists()
                    typed = [*hydra_config.overrides.task, *hydra_config.overrides.hydra]
                    config = own_config(folder, config, typed)
                self.failure = run(config, folder, resume=folder.kept).error
        except (InputError, OmegaConfBaseException) as error:
            # Raised to Hydra, it would come with Hydra's own words.
            self.refused.append(error)
        except DivergenceError as error:
            self.failure = f"{error}; what there is of it: {relative(folder.path)}"
        except (OSError, sqlite3.OperationalError) as error:
            if not _of_the_disk(error):
                raise
            log.info("the run failed", exc_info=True)  # into the log file, if that can be written
            self.disk = error
        return None

    def status(self, *, wants_traceback: bool) -> int:
        """Say what could not be done, and return the exit status."""
        for error in (*self.refused, *filter(None, [self.disk])):
            if wants_traceback:
                raise error
            line = explain(error) if error is not self.disk else self._explain_disk(self.disk)
            print(f"qexp: {line}", file=sys.stderr)
        if self.disk is not None:
            return 1 if self.started else 2
        if self.refused:
            return 2
        if self.failure is not None:
            print(f"qexp: {self.failure}", file=sys.stderr)
            return 1
        return SweepSession.current.status if SweepSession.current else 0

    def _explain_disk(self, error: OSError | sqlite3.OperationalError) -> str:
        """Say in one line what the disk refused, and how to go on when that is mended."""
        if isinstance(error, OSError):
            where, reason = error.filename or self.folder, error.strerror
        else:
            where, reason = self.folder, str(error)
        line = f"{relative(Path(where))}: {reason}" if where else str(reason)
        if self.folder is not None and (self.folder / JOURNAL).exists():
            line += f"; when that is mended, go on with {resume_with(self.folder)}"
        return line


def _check_single(config: DictConfig) -> None:
    if config.sweep is not None:
        raise InputError(f"sweep={config.sweep} names a multirun: add -m")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _of_the_disk(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DATABASE


@contextmanager
def _log_or_not(*, strict: bool) -> Iterator[None]:
    """Keep a log file that cannot be written to, on a full disk, from printing a traceback for each line."""
    before, logging.raiseExceptions = logging.raiseExceptions, strict
    try:
        yield
    finally:
        logging.raiseExceptions = before


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
        # Hydra would print its own text and exit with 1; this makes it hand every exception to us instead.
        with (
            _environment(FULL_ERROR, "1"),
            _log_or_not(strict=wants_traceback),
            closed_at_the_end(),
            interrupts_pass(),
        ):
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(jobs)()
    except (InputError, HydraException, OmegaConfBaseException) as error:
        jobs.refused.append(error)
    except (OSError, sqlite3.OperationalError) as error:
        if not _of_the_disk(error) and (jobs.started or not isinstance(error, FileNotFoundError)):
            raise
        jobs.disk = error
    except (ValueError, YAMLError) as error:
        if jobs.started:
            raise
        if isinstance(error.__cause__, OSError):  # the log file cannot be written
            jobs.disk = error.__cause__
        else:  # how Hydra refuses, for example, an option that is a number, or a config file that is not YAML
            jobs.refused.append(InputError(f"{error}: {' '.join(sys.argv[1:])}"))
    return jobs.status(wants_traceback=wants_traceback)
