"""Evaluations that several jobs of a sweep need, made once and kept in a folder that they share."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Evaluations:
    """What schedulers did on the same episodes, by scheduler.

    Jobs that run side by side may both make an evaluation that neither finds: it is the same one.

    Attributes:
        folder: Where the files are; made if missing.
        identity: All that the measurements depend on besides the scheduler; plain containers.
        names: The schedulers that may be looked up: those that depend on nothing else.
    """

    folder: Path
    identity: Mapping[str, Any]
    names: Collection[str]

    def find(self, scheduler: str) -> tuple[Rows, Rows] | None:
        """Return a scheduler's rows per episode and per task, or None."""
        if scheduler not in self.names or not (file := self._file(scheduler)).is_file():
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        return [tuple(row) for row in found["episodes"]], [tuple(row) for row in found["tasks"]]

    def keep(self, scheduler: str, episodes: Rows, tasks: Rows) -> None:
        """Write a scheduler's rows, whole or not at all."""
        if scheduler not in self.names:
            return
        self.folder.mkdir(exist_ok=True)
        file = self._file(scheduler)
        scratch = file.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps({"episodes": episodes, "tasks": tasks}), encoding="utf-8")
        scratch.replace(file)

    def _file(self, scheduler: str) -> Path:
        known = json.dumps([scheduler, self.identity], sort_keys=True)
        readable = re.sub(r"[^\w.=]+", ",", scheduler)
        return self.folder / f"{readable[:80]}-{sha256(known.encode()).hexdigest()[:16]}.json"
