"""Checkpoints that are either whole or not there: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

METADATA_FILE = "qexp.json"
PROGRESS_FILE = "progress.json"
SUMS_FILE = "sha256.json"
MEMORY = "memory"
"""Stem of the replay memory's files."""
KEPT = 3


def save_checkpoint(
    algorithm: Any,
    folder: Path,
    iteration: int,
    metadata: Mapping[str, Any],
    save_state: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Write an algorithm's checkpoint and drop all but the newest few.

    The folder ``iteration_<number>`` holds what RLlib's ``restore_from_path`` reads, ``qexp.json`` with what
    is needed to turn the weights into a policy bundle without Ray, and the files' check sums.

    Args:
        algorithm: RLlib algorithm.
        folder: Where checkpoints go; created when missing.
        iteration: Training iterations so far.
        metadata: Content of ``qexp.json``.
        save_state: Writes further files into the folder it is given.

    Returns:
        The checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"iteration_{iteration:06d}"
    aside = folder / f".{final.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    algorithm.save_to_path(str(aside.resolve()))
    (aside / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    save_state(aside)
    sums = {path.relative_to(aside).as_posix(): _sum(path) for path in aside.rglob("*") if path.is_file()}
    (aside / SUMS_FILE).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in [*aside.rglob("*"), aside]:
        _flush(path)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    _flush(folder)
    for old in sorted(folder.glob("iteration_*"))[:-KEPT]:
        shutil.rmtree(old)
    return final


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Find the checkpoint to go on from.

    Args:
        folder: Where checkpoints are; it may be missing.

    Returns:
        The newest one whose files are all as they were written, or None; and the newer ones that are not.
    """
    damaged: list[Path] = []
    for checkpoint in sorted(folder.glob("iteration_*"), reverse=True):
        if _is_whole(checkpoint):
            return checkpoint, damaged
        damaged.append(checkpoint)
    return None, damaged


def drop_memories(folder: Path) -> None:
    """Delete the replay memories in checkpoints: large, and of no use once training is over."""
    for path in folder.glob(f"iteration_*/{MEMORY}.*"):
        path.unlink()


def _is_whole(checkpoint: Path) -> bool:
    try:
        sums = json.loads((checkpoint / SUMS_FILE).read_text(encoding="utf-8"))
        return all(_sum(checkpoint / name) == known for name, known in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
