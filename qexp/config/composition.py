"""Composing configurations with Hydra's loader, outside its command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from qexp.config.messages import explain
from qexp.config.option_files import Places, conf_dir, loader
from qexp.config.schema import register
from qexp.errors import InputError


def compose(overrides: Sequence[str], config_dir: str | Path | None) -> tuple[Places, DictConfig, str | None]:
    """Compose the configuration of one run, in any thread: no state of Hydra's is touched.

    Args:
        overrides: As on the command line.
        config_dir: Folder of option files of one's own.

    Returns:
        Where option files were looked for, the configuration without Hydra's section, and ``hydra.run.dir``
        if that was given.

    Raises:
        InputError: It cannot be composed, or means several runs.
    """
    if config_dir is not None and not Path(config_dir).is_dir():
        raise InputError(f"config_dir={config_dir}: there is no such folder")
    own = [Path(config_dir).absolute()] if config_dir is not None else []
    register(own)
    setup_globals()
    places: Places = (
        *(("command-line", f"file://{folder}") for folder in own),
        ("main", f"file://{conf_dir()}"),
    )
    try:
        config = loader(places).load_configuration("config", list(overrides), RunMode.RUN)
        hydra = config.hydra
        if str(hydra.mode).endswith("MULTIRUN"):
            raise InputError("these are several runs: run them as qexp -m ..., or one by one")
        typed = next((part for part in hydra.overrides.hydra if part.startswith("hydra.run.dir=")), None)
        sources = [
            (source.provider, f"{source.schema}://{source.path}") for source in hydra.runtime.config_sources
        ]
        with open_dict(config):
            config.pop("hydra")
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    return tuple(sources), config, typed and typed.partition("=")[2]
