"""``resume=FOLDER``: a run that was cut off, continued in its own folder with its own configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError, safe_load

from qexp.algo.checkpoint import newest_checkpoint
from qexp.config.identity import LIMITS, config_hash, option_of
from qexp.config.option import NAME
from qexp.config.schema import validate
from qexp.errors import InputError
from qexp.runfolder import CHECKPOINTS, COMPLETED, RUN_FILE, RunFolder, relative

if TYPE_CHECKING:
    from rich.console import Console

    from qexp.stages.record import Identity

CHANGEABLE = ("tracking", "ray")
"""Root keys that may be given beside ``resume``: where a run happens, not what it finds."""


def run_dir(resume: str | None, fresh: str) -> str:
    """Return the run folder of a command: the one to resume, if it is one, or a fresh one.

    Args:
        resume: Value of the key ``resume``.
        fresh: Folder for a new run; also for what is refused later, so that no other folder is touched.
    """
    return resume if resume and (Path(resume) / RUN_FILE).is_file() else fresh


def hydra_folder(resume: str | None) -> str | None:
    """Return where below the run folder Hydra keeps its files: nowhere if an earlier command's are there."""
    return None if resume else ".hydra"


def own_config(folder: RunFolder, command: DictConfig, overrides: Iterable[str]) -> DictConfig:
    """Return the configuration that a run was started with.

    Args:
        folder: The run folder.
        command: The configuration of the command that resumes it.
        overrides: What was typed in that command, Hydra's own keys included.

    Returns:
        The run's configuration, with `CHANGEABLE` keys as typed now.

    Raises:
        InputError: The folder cannot be resumed, or not with these overrides.
    """
    path, begun = folder.path, folder.begun
    changed = list(_changed(command.resume, overrides))
    if begun is None:
        raise InputError(f"resume={command.resume}: not the folder of a run: it has no {RUN_FILE}")
    report = path / "report.html"
    if folder.status == COMPLETED:
        found = report if report.exists() else path / "leaderboard.csv"
        raise InputError(f"resume={path}: this run is complete; its result is in {relative(found)}")
    if folder.over:
        raise InputError(
            f"resume={path}: no task of its campaign was done, see {relative(report)}; start a new run"
        )
    try:
        config = OmegaConf.load(path / "config.yaml")
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"resume={path}: config.yaml cannot be read: {error}") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"resume={path}: config.yaml is not a configuration")
    resolved = validate(config)
    if not is_of(begun["config_hash"], resolved, path / "config.yaml"):
        raise InputError(f"resume={path}: config.yaml was changed after the run began; start a new run")
    if {option_of(resolved, group) for group in ("algo", "deploy")} == {"none"}:
        raise InputError(f"resume={path}: this run trains nothing and deploys nothing; start it anew")
    for key in changed:
        OmegaConf.update(config, key, OmegaConf.select(command, key), merge=False, force_add=True)
    return config


def is_of(recorded: str, resolved: Mapping[str, Any], config_file: Path) -> bool:
    """Tell whether a recorded hash is that of a configuration.

    Args:
        recorded: What `config_hash` returned when the run began, perhaps in version 0.1, whose hashes
            contained the paths of classes.
        resolved: The configuration.
        config_file: The run's config.yaml, which tells what such a hash is of.
    """
    if recorded == config_hash(resolved):
        return True
    try:
        written = safe_load(config_file.read_text(encoding="utf-8"))
        if NAME in written["env"] or config_hash(written) != recorded:
            return False
    except (OSError, KeyError, TypeError, AttributeError, YAMLError):
        return False
    return config_hash(validate(written)) == config_hash(resolved)


def keep_limits(folder: RunFolder, resolved: Mapping[str, Any]) -> None:
    """Write the limits that a campaign is gone on with to its config.yaml: they hold from now on.

    Args:
        folder: The run folder.
        resolved: The configuration in force.
    """
    config = OmegaConf.load(folder.path / "config.yaml")
    changed = {
        f"deploy.{limit}": value
        for limit in LIMITS
        if (value := resolved["deploy"].get(limit)) != OmegaConf.select(config, f"deploy.{limit}")
    }
    for key, value in changed.items():
        OmegaConf.update(config, key, value, merge=False)
    if changed:
        folder.write_text("config.yaml", OmegaConf.to_yaml(config))


def composable(typed: Sequence[str]) -> list[str]:
    """Return a command line that Hydra can compose: with ``resume``, limits are keys it lacks.

    Args:
        typed: The command line, without the program.

    Raises:
        InputError: Something beside ``resume`` that a run is not resumed with.
    """
    given = [_key(argument)[1] for argument in typed if _key(argument)[0] == "resume"]
    if not given or given[-1] in {"", "null"} or {"-m", "--multirun"} & set(typed):
        return list(typed)
    list(_changed(given[-1], (argument for argument in typed if "=" in argument and argument[0] != "-")))
    limits = {f"deploy.{limit}" for limit in LIMITS}
    return [f"++{item.lstrip('+')}" if _key(item)[0] in limits else item for item in typed]


def _key(override: str) -> tuple[str, str]:
    """Return key and value of an override."""
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


def _changed(folder: str, overrides: Iterable[str]) -> Iterator[str]:
    """Yield the keys given beside ``resume``, or refuse them."""
    for override in overrides:
        key, _ = _key(override)
        if key in {"resume", "hydra.mode"}:  # Hydra adds the mode itself
            continue
        if key.partition(".")[0] not in CHANGEABLE and key not in {f"deploy.{limit}" for limit in LIMITS}:
            raise InputError(
                f"{override} with resume={folder}: a run is resumed with its own configuration; "
                f"only {', '.join(CHANGEABLE)} and deploy.{{{','.join(LIMITS)}}} may be given"
            )
        yield key


def unfinished(
    folder: RunFolder, resolved: Mapping[str, Any], identity: Identity, console: Console
) -> dict[str, Any]:
    """Return what is on record of the run in a folder if it can be gone on with, else nothing.

    Args:
        folder: The run folder.
        resolved: What is to be run: only a run of the same configuration can be continued.
        identity: The same run's identity.
        console: Told when libraries have changed since.

    Raises:
        InputError: The machines have changed since.
    """
    begun = folder.begun
    if begun is None or folder.over or not is_of(begun["config_hash"], resolved, folder.path / "config.yaml"):
        return {}
    if begun["fleet_hash"] != identity.fleet_hash:
        raise InputError(
            f"backend: the fleet has changed since the run in {folder.path} began; start a new run"
        )
    changed = [
        f"{name} {begun['versions'].get(name)} then, {identity.versions[name]} now"
        for name in ("qexp", "ray", "torch")
        if begun["versions"].get(name) != identity.versions[name]
    ]
    if changed:
        console.print(f"note: the run began with other versions: {'; '.join(changed)}", soft_wrap=True)
    return begun


def last_checkpoint(folder: RunFolder, console: Console) -> Path | None:
    """Return the newest checkpoint that is whole, or None; say what training goes on from."""
    checkpoint, damaged = newest_checkpoint(folder.path / CHECKPOINTS)
    for path in damaged:
        console.print(f"note: {path.name} is damaged and left out")
    if checkpoint is None:
        console.print("no checkpoint: training starts from the beginning")
    else:
        console.print(f"training goes on from {checkpoint.name}")
    return checkpoint
