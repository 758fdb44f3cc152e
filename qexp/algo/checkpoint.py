"""Checkpoints that are either whole or not there: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METADATA_FILE = "qexp.json"
KEPT = 3


def save_checkpoint(algorithm: Any, folder: Path, iteration: int, metadata: Mapping[str, Any]) -> Path:
    """Write an algorithm's checkpoint and drop all but the newest few.

    The folder ``iteration_<number>`` holds what RLlib's ``restore_from_path`` reads, and ``qexp.json`` with
    what is needed to turn the weights into a policy bundle without Ray.

    Args:
        algorithm: RLlib algorithm.
        folder: Where checkpoints go; created when missing.
        iteration: Training iterations so far.
        metadata: Content of ``qexp.json``.

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
    for path in [*aside.rglob("*"), aside]:
        _flush(path)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    _flush(folder)
    for old in sorted(folder.glob("iteration_*"))[:-KEPT]:
        shutil.rmtree(old)
    return final


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
