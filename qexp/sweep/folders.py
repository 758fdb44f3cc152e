"""Where the jobs of a sweep write: the folders that Hydra makes for them, however the user names these.

A job is the same if its overrides are, so that a sweep that is started again finds it under whatever name.
Where each job writes is noted in the sweep's folder, and each folder says whose it is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from qexp.report.sweeps import JOBS
from qexp.runfolder import RunFolder
from qexp.sweep.plan import job_folder

OWNER = ".job"
"""File in a job's folder: its name."""


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
    before = [_noted(note, sweep)] if note.is_file() else []
    usual = sweep / name
    # Neither in the sweep's folder itself nor in one around it, where other runs lie.
    free = (
        folder
        for folder in (*before, made, usual)
        if not sweep.is_relative_to(folder) and _claim(folder, name)
    )
    folder = next(free, usual)
    if folder != made and (made / ".hydra").is_dir():
        shutil.copytree(made / ".hydra", folder / ".hydra", dirs_exist_ok=True)
    if [folder] != before:
        note.parent.mkdir(parents=True, exist_ok=True)
        content = {"folder": os.path.relpath(folder, sweep), "overrides": list(overrides)}
        RunFolder(note.parent).write_json(note.name, content)
    return folder


def _noted(note: Path, sweep: Path) -> Path:
    return Path(os.path.normpath(sweep / json.loads(note.read_text(encoding="utf-8"))["folder"]))


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
