"""The run folder: where a run's files go, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omegaconf.errors import OmegaConfBaseException

from qexp.errors import InputError

RESULT_FILE = "result.json"
START_FILES = {".hydra", "qexp.log", "config.yaml"}
"""What Hydra and we write before anything is computed."""


@dataclass
class RunFolder:
    """A folder that other programs read; result.json appears last.

    As a context manager it removes what is there when the input turns out to be unusable before anything
    was computed, so that a mistyped command leaves nothing behind.
    """

    path: Path

    @classmethod
    def of_job(cls, hydra_config: Any) -> Self:
        """Return the folder Hydra made for the running job."""
        return cls(Path(hydra_config.runtime.output_dir))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (InputError, OmegaConfBaseException)):
            return
        if {item.name for item in self.path.iterdir()} <= START_FILES:
            for item in self.path.iterdir():
                shutil.rmtree(item) if item.is_dir() else item.unlink()
            self._prune()

    def _prune(self) -> None:
        """Remove the folder, and those above it, inside the current one, that it leaves empty."""
        here = Path.cwd()
        for folder in (self.path, *(above for above in self.path.parents if here in above.parents)):
            if folder == here or folder in here.parents or any(folder.iterdir()):
                break
            folder.rmdir()

    def forget_result(self) -> None:
        """Remove the result of an earlier run in this folder: it would pass for the one that begins."""
        (self.path / RESULT_FILE).unlink(missing_ok=True)

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file atomically."""
        target = self.path / name
        scratch = self.path / f".{name}.tmp"
        scratch.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        scratch.replace(target)
        return target
