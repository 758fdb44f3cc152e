"""A run as its folder tells it: what it was about, and its leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qexp.config.identity import with_names
from qexp.config.option import NAME
from qexp.errors import InputError
from qexp.problem.metric import Metric
from qexp.report.leaderboard import board
from qexp.report.table import Table
from qexp.runfolder import RESULT_FILE


def result_of(folder: Path) -> dict[str, Any] | None:
    """Return what a run's result.json says, or None before the end."""
    file = folder / RESULT_FILE
    if not file.is_file():
        return None
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def config_of(folder: Path) -> dict[str, Any]:
    """Return a run's configuration as its config.yaml has it."""
    config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return config


def decider_of(result: Mapping[str, Any]) -> str:
    """Return the scheduler that a run is about."""
    options = result["options"]
    # Version 0.1 called every decider by its option.
    return str(result.get("decider") or options["scheduler" if options["algo"] == "none" else "algo"])


def metric_of_run(result: Mapping[str, Any], config: Mapping[str, Any]) -> Metric:
    """Return by what a run's schedulers are compared.

    Args:
        result: See `result_of`.
        config: See `config_of`.
    """
    from qexp.problem.problem import metric_of  # with its room comes Gymnasium

    return metric_of({NAME: result["options"]["env"]} | with_names(config.get("env", {})))


def leaderboard_of(folder: Path) -> Table:
    """Return a run's leaderboard as a table, from its files alone.

    Raises:
        InputError: It has none.
    """
    result = result_of(folder)
    if result is None or not result["leaderboard"]:
        reason = f": {result['error']}" if result and result.get("error") else ""
        raise InputError(f"{folder} has no leaderboard{reason}")
    learned = None if result["options"]["algo"] == "none" else decider_of(result)
    return board(result["leaderboard"], metric_of_run(result, config_of(folder)), learned)
