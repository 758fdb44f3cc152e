"""The plan of a sweep: its name, its folder, its jobs and where each of them writes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from omegaconf import DictConfig, OmegaConf

from qexp.config.identity import NO_RESULT, flat, names_with_values
from qexp.config.plots import FORMATS
from qexp.errors import InputError
from qexp.report.sweeps import FIGURES, JOBS, LEADERBOARD_FILE, SWEEP_FILE, TABLE_FILE
from qexp.runfolder import RunFolder, relative

SWEEP_DIR, SWEPT = "QEXP_SWEEP_DIR", "QEXP_SWEPT"
"""Environment variables for jobs in whatever process: the folder of the running sweep, what it varies."""

SHARED = ".evaluations"
OWN_NAMES = {
    *(SWEEP_FILE, TABLE_FILE, LEADERBOARD_FILE, *FIGURES, JOBS, SHARED),
    *("multirun.yaml", "tracking.jsonl"),
}
"""Names in a sweep's folder beside the jobs' folders."""

NAMED_AT_LENGTH = 48
SHOWN_DIFFERENCES = 8


def sweep_dir(name: str | None, experiment: str | None, command: Iterable[str]) -> str:
    """Return the folder of a sweep: that of the running one, or one that the same command finds again.

    Args:
        name: What the user calls it, or None.
        experiment: The chosen preset, or None.
        command: The overrides as typed.
    """
    if running := os.environ.get(SWEEP_DIR):
        return running
    name = name or f"{experiment or 'sweep'}-{_digest(command)}"
    return f"outputs/sweeps/{name}"


def folder_of(typed: str) -> Path:
    """Return the absolute path of a folder as Hydra forms it: links stay as they are."""
    return Path(os.path.normpath(Path(typed).absolute()))


def job_folder(overrides: Iterable[str]) -> str:
    """Return the name of a job's folder: in which it differs from others, and a hash of all its overrides."""
    overrides = list(overrides)
    readable = re.sub(r"[^\w.=,-]+", ".", ",".join(varied(overrides)))
    return f"{readable[:NAMED_AT_LENGTH].strip('.,') or 'job'}-{_digest(overrides)}"


def varied(overrides: Iterable[str]) -> list[str]:
    """Return those of a job's overrides in which the jobs of the running sweep differ."""
    swept = os.environ.get(SWEPT, "").split(",")
    return [part for part in overrides if part.lstrip("+").partition("=")[0] in swept]


def _digest(overrides: Iterable[str]) -> str:
    """Hash overrides in any order, without those that change no result: the same job, however asked for."""
    keys = {part: re.split(r"[=.@]", part.lstrip("+~"), maxsplit=1)[0] for part in overrides}
    formats = {f"plots={name}" for name in FORMATS}
    relevant = sorted(part for part, key in keys.items() if key not in NO_RESULT and part not in formats)
    return sha256("\n".join(relevant).encode()).hexdigest()[:8]


def as_typed(hydra: Any, which: str) -> list[str]:
    """Return overrides as they were typed: an interpolation in one has another value in every job.

    Args:
        hydra: Hydra's section of a configuration.
        which: ``task`` for those of keys of ours, ``hydra`` for those of Hydra's.
    """
    typed: Any = OmegaConf.to_container(hydra.overrides[which], resolve=False)
    return list(typed)


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep.

    Attributes:
        folder: Where its files are.
        base: The configuration that the jobs' overrides are applied to, by dotted key.
        swept: Keys whose values differ between jobs.
        jobs: Each job's overrides, by the name of its folder, in order; empty where a search makes them up.
    """

    folder: Path
    base: dict[str, Any]
    swept: list[str]
    jobs: dict[str, list[str]]

    @classmethod
    def of(cls, config: DictConfig) -> Plan:
        """Return the plan of a multirun's configuration, Hydra's section included.

        Globs in it are replaced by the choices they stand for: all who read them then see the same.

        Raises:
            InputError: A glob stands for nothing, an interval is to be swept, not searched, or jobs are to
                write over the sweep's own files.
        """
        hydra, sweeper = config.hydra, config.hydra.sweeper
        folder = folder_of(hydra.sweep.dir)  # may be named after the overrides as typed
        names: Any = OmegaConf.to_container(hydra.sweep, resolve=False)
        _refuse_own_names(names["subdir"])
        params = sweeper.get("params") or {}
        hydra.overrides.task = [_without_glob(override, config) for override in as_typed(hydra, "task")]
        for key, value in params.items():
            params[key] = _without_glob(f"{key}={value}", config).partition("=")[2]
        searched = [f"{key}={value}" for key, value in params.items()]
        parsed = OverridesParser.create().parse_overrides([*searched, *as_typed(hydra, "task")])
        keys = (part.get_key_element().lstrip("+") for part in parsed if part.is_sweep_override())
        swept = list(dict.fromkeys(keys))
        os.environ[SWEPT] = ",".join(swept)
        jobs: dict[str, list[str]] = {}
        if str(sweeper["_target_"]).endswith(".BasicSweeper"):
            for override in parsed:
                if override.is_interval_sweep():
                    raise InputError(
                        f"{override.input_line}: an interval is searched, with hydra/sweeper=optuna; to "
                        "sweep, give values: range(...), choice(...) or a,b"
                    )
            if (size := sweeper.get("max_batch_size")) is not None and size < 1:
                raise InputError(f"hydra.sweeper.max_batch_size={size}: must be at least 1, or null")
            (batch,) = BasicSweeper.split_arguments(parsed, None)
            jobs = {job_folder(overrides): overrides for overrides in batch}
        plain: Any = OmegaConf.to_container(config, resolve=False)
        base = {key: value for key, value in plain.items() if key not in {*NO_RESULT, "hydra"}}
        return cls(folder, flat(base), swept, jobs)

    def join(self) -> tuple[Plan, str | None]:
        """Write the plan down, with the jobs of the folder's earlier one; return it and its MLflow run.

        Raises:
            InputError: The folder is another sweep's; the message shows in what it differs.
        """
        file = self.folder / SWEEP_FILE
        jobs, run_id = self.jobs, None
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            if differences := self._differences(before):
                shown = "; ".join(differences[:SHOWN_DIFFERENCES])
                more = len(differences) - SHOWN_DIFFERENCES
                raise InputError(
                    f"{relative(self.folder)} holds a sweep of another configuration: {shown}"
                    f"{f'; and {more} more' if more > 0 else ''}. Give this one a name of its own: sweep=NAME"
                )
            jobs = {job["folder"]: job["overrides"] for job in before["jobs"]} | jobs
            run_id = before["mlflow_run_id"]
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{relative(self.folder)} is not empty and holds no sweep: choose another sweep=NAME"
            )
        joined = replace(self, jobs=jobs)
        joined.write(run_id)
        return joined, run_id

    def write(self, mlflow_run_id: str | None) -> None:
        """Write the plan to its folder, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "swept": self.swept,
            "jobs": [{"folder": name, "overrides": overrides} for name, overrides in self.jobs.items()],
            "mlflow_run_id": mlflow_run_id,
            "base": self.base,
        }
        RunFolder(self.folder).write_text(SWEEP_FILE, json.dumps(content, indent=2) + "\n")

    def _differences(self, before: Mapping[str, Any]) -> list[str]:
        then, now = names_with_values(before["base"]), dict(self.base)
        for base in (then, now):
            base["plots"] = bool(base.get("plots"))  # their format changes nothing of the jobs
        changed = [key for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
        listed = [f"{key} was {then.get(key)}, now {now.get(key)}" for key in changed]
        if sorted(before["swept"]) != sorted(self.swept):
            listed.insert(0, f"it varies {', '.join(before['swept'])}, this one {', '.join(self.swept)}")
        return listed


def _refuse_own_names(subdir: str) -> None:
    first = Path(os.path.normpath(subdir)).parts[:1]
    if first and first[0] in OWN_NAMES:
        raise InputError(
            f"hydra.sweep.subdir={subdir}: {first[0]} is the sweep's own; give jobs another folder"
        )


def _without_glob(override: str, config: DictConfig) -> str:
    """Return an override with ``choice(...)`` of the options in place of a ``glob(...)``."""
    parsed = OverridesParser.create().parse_override(override)
    if parsed.value_type is not ValueType.GLOB_CHOICE_SWEEP:
        return override
    loader, hydra, group = GlobalHydra.instance().config_loader(), config.hydra, parsed.key_or_group
    # A search path may be among Hydra's own overrides.
    own = as_typed(hydra, "hydra")
    options = loader.get_group_options(group, ObjectType.CONFIG, hydra.job.config_name, own)
    sweep: Any = parsed.value()
    if not (chosen := sweep.filter(options)):
        raise InputError(
            f"{override}: no option of {group} is called so; "
            + (f"there are {', '.join(options)}" if options else "it is no config group")
        )
    return f"{parsed.get_key_element()}=choice({','.join(chosen)})"
