"""The run folder: where a run's files go, whole or not at all."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omegaconf.errors import OmegaConfBaseException

from qexp.errors import InputError

RESULT_FILE = "result.json"
RUN_FILE = "run.json"
"""Says whose folder it is as soon as a run has begun; see `RunFolder.begin`."""
RUN_KEYS = {"config_hash", "fleet_hash", "versions", "mlflow_run_id"}
CHECKPOINTS = "checkpoints"
COMPLETED = "COMPLETED"
PLANNED = "PLANNED"
"""Of a run whose campaign waits for its confirmation: all else is done."""
FAILED = "FAILED"
START_FILES = {".hydra", "qexp.log", "config.yaml", "fleet.yaml", "tracking.jsonl", RUN_FILE}
"""Files that Hydra and we write before anything is computed."""

GAP_FILES = ("gap.json", "gap_*.csv", "calibration.json", "report.html", "plots/gap_*")
"""Files of a campaign's gap report, as patterns."""


def resume_with(path: Path) -> str:
    """Return the argument that resumes the run in a folder, as a person here would type it.

    The folders of a sweep's jobs have equals signs, which Hydra takes from a quoted value only.
    """
    typed = str(relative(path))
    if re.fullmatch(r"[\w/.:@%+-]+", typed):
        return f"resume={typed}"
    escaped = typed.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'resume="{escaped}"')


def relative(path: Path) -> Path:
    """Return a path as a person in the current folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half of it.

    Args:
        path: File to write; its folder exists.
        data: All of its content.
    """
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@dataclass
class RunFolder:
    """A folder that other programs read; result.json appears last.

    As a context manager it removes what is there when the input turns out to be unusable before anything
    was computed, so that a mistyped command leaves nothing behind.

    Attributes:
        path: The folder.
        existing: Whether its content is from an earlier command and stays in any case.
    """

    path: Path
    existing: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.existing or not isinstance(error, (InputError, OmegaConfBaseException)):
            return
        if {item.name for item in self.path.iterdir()} <= START_FILES:
            for item in self.path.iterdir():
                shutil.rmtree(item) if item.is_dir() else item.unlink()
            # The folder too, and those above it, inside the current one, that it leaves empty.
            here = Path.cwd()
            for folder in (self.path, *(above for above in self.path.parents if here in above.parents)):
                if folder == here or folder in here.parents or any(folder.iterdir()):
                    break
                folder.rmdir()

    @property
    def begun(self) -> dict[str, Any] | None:
        """The content that `begin` wrote; None in a folder where no run has begun."""
        content = self._read(RUN_FILE)
        return content if content.keys() >= RUN_KEYS else None

    @property
    def result(self) -> dict[str, Any]:
        """How the run ended; empty if it has not, or was killed."""
        return self._read(RESULT_FILE)

    @property
    def status(self) -> str | None:
        """See `result`."""
        return self.result.get("status")

    @property
    def over(self) -> bool:
        """True if there is nothing to resume: the run is complete, or no task of its campaign was done."""
        return self.status == COMPLETED or bool(self.result.get("deployment"))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def forget_run(self) -> None:
        """Remove what an earlier run could be continued from, or what would pass for this one's result."""
        for pattern in (RUN_FILE, RESULT_FILE, *GAP_FILES):
            for file in self.path.glob(pattern):
                file.unlink()
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def forget_result(self) -> None:
        """Remove the result of an attempt that failed: it would pass for that of the one that begins."""
        (self.path / RESULT_FILE).unlink(missing_ok=True)

    def begin(self, content: Mapping[str, Any]) -> None:
        """Write down what the run that begins here is, for those who may have to continue it."""
        self.write_json(RUN_FILE, content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file atomically.

        Args:
            name: Of the file in the folder.
            content: JSON values, without NaN or infinity.
        """
        return self.write_text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file atomically.

        Args:
            name: Of the file in the folder.
            text: Its content.
        """
        write_atomically(self.path / name, text.encode())
        return self.path / name
