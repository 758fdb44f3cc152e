"""The run folder: where a run's files go, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qexp.errors import InputError

RESULT_FILE = "result.json"
HYDRA_FILES = {".hydra", "qexp.log"}


@dataclass
class RunFolder:
    """A folder that other programs read; result.json appears last.

    As a context manager it undoes Hydra's own files when the input turns out to be unusable, so that a
    mistyped command leaves nothing behind.
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
        if isinstance(error, InputError) and {item.name for item in self.path.iterdir()} <= HYDRA_FILES:
            shutil.rmtree(self.path)
            for parent in self.path.parents:
                if parent.name == "outputs" or parent == Path.cwd() or any(parent.iterdir()):
                    break
                parent.rmdir()

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file atomically."""
        target = self.path / name
        scratch = self.path / f".{name}.tmp"
        scratch.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        scratch.replace(target)
        return target
