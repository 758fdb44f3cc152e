"""``resume=FOLDER``: a run that was cut off, continued in its own folder with its own configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError, safe_load

from qexp.config.identity import LIMITS, config_hash, is_former, option_of
from qexp.config.schema import validate
from qexp.errors import InputError
from qexp.runfolder import COMPLETED, RUN_FILE, RunFolder, relative

if TYPE_CHECKING:
    from rich.console import Console

CHANGEABLE = ("tracking", "ray")
"""Root keys that may be given beside ``resume``: where a run happens, which changes no result."""
LIMIT_KEYS = {f"deploy.{limit}" for limit in LIMITS}


def own_config(folder: RunFolder, command: DictConfig, overrides: Iterable[str]) -> DictConfig:
    """Return the configuration that a run was started with, with `CHANGEABLE` keys and limits as typed now.

    Args:
        folder: The run folder.
        command: The configuration of the command that resumes it.
        overrides: What was typed in that command, Hydra's own keys included.

    Raises:
        InputError: The folder cannot be resumed, or not with these overrides.
    """
    path, begun = folder.path, folder.begun

    def refuse(reason: str, cause: Exception | None = None) -> NoReturn:
        raise InputError(f"resume={command.resume}: {reason}") from cause

    changed = list(_changed(command.resume, overrides))
    if begun is None:
        refuse(f"not the folder of a run: it has no {RUN_FILE}")
    report = path / "report.html"
    if folder.status == COMPLETED:
        result = report if report.exists() else path / "leaderboard.csv"
        refuse(f"this run is complete; its result is in {relative(result)}")
    if folder.over:
        refuse(f"no task of its campaign was done, see {relative(report)}; start a new run")
    try:
        config = OmegaConf.load(path / "config.yaml")
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        refuse(f"config.yaml cannot be read: {error}", error)
    if not isinstance(config, DictConfig):
        refuse("config.yaml is not a configuration")
    resolved = validate(config)
    if not is_of(begun["config_hash"], resolved, path / "config.yaml"):
        refuse("config.yaml was changed after the run began; start a new run")
    if {option_of(resolved, group) for group in ("algo", "deploy")} == {"none"}:
        refuse("this run trains nothing and deploys nothing; start it again")
    for key in changed:
        OmegaConf.update(config, key, OmegaConf.select(command, key), merge=False, force_add=True)
    return config


def is_of(recorded: str, resolved: Mapping[str, Any], config_file: Path) -> bool:
    """Tell whether a recorded hash is that of a configuration.

    Args:
        recorded: What `config_hash` returned when the run began, perhaps in version 0.1, whose hashes
            contained the paths of classes.
        resolved: The configuration.
        config_file: The run's config.yaml, which says what such a hash is of.
    """
    own = config_hash(resolved)
    if recorded == own or not is_former(config_file):
        return recorded == own
    written = safe_load(config_file.read_text(encoding="utf-8"))
    return config_hash(written) == recorded and config_hash(validate(written)) == own


def write_limits(folder: RunFolder, resolved: Mapping[str, Any]) -> None:
    """Write the limits that a campaign is resumed with to its config.yaml: they hold from now on.

    Args:
        folder: The run folder.
        resolved: The configuration in force.
    """
    config: Any = OmegaConf.load(folder.path / "config.yaml")
    changed = [limit for limit in LIMITS if resolved["deploy"].get(limit) != config.deploy.get(limit)]
    for limit in changed:
        config.deploy[limit] = resolved["deploy"].get(limit)
    if changed:
        folder.write_text("config.yaml", OmegaConf.to_yaml(config))


def composable(typed: Sequence[str]) -> list[str]:
    """Return a command line that Hydra can compose: with ``resume``, limits are keys it lacks.

    Raises:
        InputError: Something beside ``resume`` that a run is not resumed with.
    """
    resume = [value for key, value in map(_key, typed) if key == "resume"]
    if not resume or resume[-1] in {"", "null"} or {"-m", "--multirun"} & set(typed):
        return list(typed)
    list(_changed(resume[-1], (argument for argument in typed if "=" in argument and argument[0] != "-")))
    return [f"++{item.lstrip('+')}" if _key(item)[0] in LIMIT_KEYS else item for item in typed]


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
        if key.partition(".")[0] not in CHANGEABLE and key not in LIMIT_KEYS:
            raise InputError(
                f"{override} with resume={folder}: a run is resumed with its own configuration; "
                f"only {', '.join(CHANGEABLE)} and deploy.{{{','.join(LIMITS)}}} may be given"
            )
        yield key


def unfinished(
    folder: RunFolder, resolved: Mapping[str, Any], identity: Mapping[str, Any], console: Console
) -> dict[str, Any]:
    """Return what is on record of the run in a folder if it can be continued, else nothing.

    Args:
        folder: The run folder.
        resolved: What is to be run: only a run of the same configuration can be continued.
        identity: The same run's identity.
        console: For a note when libraries have changed since.

    Raises:
        InputError: The machines have changed since.
    """
    begun = folder.begun
    if begun is None or folder.over or not is_of(begun["config_hash"], resolved, folder.path / "config.yaml"):
        return {}
    if begun["fleet_hash"] != identity["fleet_hash"]:
        raise InputError(
            f"backend: the fleet has changed since the run in {folder.path} began; start a new run"
        )
    changed = [
        f"{name} {begun['versions'].get(name)} then, {identity['versions'][name]} now"
        for name in ("qexp", "ray", "torch")
        if begun["versions"].get(name) != identity["versions"][name]
    ]
    if changed:
        console.print(f"note: the run began with other versions: {'; '.join(changed)}", soft_wrap=True)
    return begun
