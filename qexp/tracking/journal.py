"""The journal of a run: all that it reported, in the run folder, to be delivered later, or somewhere else.

A journal is a text file of one JSON object a line, only ever appended to. Its lines are of three kinds:
`run` (the MLflow run that what follows is for), `delivered` (how many contents a run's store has by now) and
contents, in the order in which they were reported: `params`, `tags`, `metrics`, `artifacts`, `policy`, `end`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qexp.errors import InputError

Record = dict[str, Any]

JOURNAL = "tracking.jsonl"

_KINDS = {
    "params": "{} parameters",
    "tags": "{} tags",
    "metrics": "{} metric values",
    "artifacts": "{} artifacts",
    "policy": "the policy model",
    "end": "the end of the run",
}


@dataclass
class Journal:
    """The journal of one run folder.

    Attributes:
        folder: The run folder; without one nothing is written.
        runs: The `run` lines, oldest first.
        contents: All that was reported.
        delivered: How many of the contents have arrived, by id of an MLflow run.
    """

    folder: Path | None = None
    runs: list[Record] = field(default_factory=list)
    contents: list[Record] = field(default_factory=list)
    delivered: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path | None) -> Journal:
        """Start the journal of a run, forgetting that of an earlier run in the same folder."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / JOURNAL).unlink(missing_ok=True)
        return cls(folder)

    @classmethod
    def resume(cls, folder: Path | None) -> Journal:
        """Open the journal of a run that is continued."""
        return cls.read(folder) if folder is not None and (folder / JOURNAL).exists() else cls.begin(folder)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Read the journal of a run folder, without a line that a run that was killed wrote in part.

        Raises:
            InputError: There is none.
        """
        journal = cls(folder)
        try:
            lines = (folder / JOURNAL).read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(f"{folder}: not the folder of a run: it has no {JOURNAL}") from error
        for line in lines:
            try:
                journal._take(json.loads(line))
            except ValueError:
                continue
        return journal

    def pending(self, run_id: str) -> list[Record]:
        """Return the contents that an MLflow run does not have yet."""
        return self.contents[self.delivered.get(run_id, 0) :]

    def add(self, record: Record) -> None:
        """Take a line in, and write it to the file."""
        self._take(record)
        if self.folder is None or not self.folder.is_dir():
            return
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with (self.folder / JOURNAL).open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # the line before was cut short, and must not spoil this one
            file.write(line)

    def _take(self, record: Any) -> None:
        if not isinstance(record, dict):
            return
        if "run" in record:
            self.runs.append(record["run"])
        elif "delivered" in record:
            self.delivered[record["to"]] = max(self.delivered.get(record["to"], 0), record["delivered"])
        elif record.keys() & _KINDS.keys():
            self.contents.append(record)


def in_words(records: Iterable[Record]) -> str:
    """Say how much of what there is, in a line."""
    counts: Counter[str] = Counter()
    for record in records:
        kind = next(kind for kind in _KINDS if kind in record)
        counts[kind] += len(record[kind]) if kind in {"params", "tags", "metrics"} else 1
    return ", ".join(words.format(counts[kind]) for kind, words in _KINDS.items() if counts[kind])
