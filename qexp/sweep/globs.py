"""``group=glob(...)`` in a sweep: the options that the pattern stands for."""

from __future__ import annotations

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from omegaconf import DictConfig, OmegaConf

from qexp.errors import InputError


def spell_out_globs(config: DictConfig) -> None:
    """Replace globs among what a multirun varies by choices: all who read them then see the same.

    Args:
        config: The multirun's configuration, Hydra's section included; changed.

    Raises:
        InputError: A glob stands for nothing.
    """
    params = config.hydra.sweeper.get("params") or {}
    config.hydra.overrides.task = [
        _spelled_out(override, config) for override in as_typed(config.hydra, "task")
    ]
    for key, value in params.items():
        params[key] = _spelled_out(f"{key}={value}", config).partition("=")[2]


def as_typed(hydra: Any, which: str) -> list[str]:
    """Return overrides as they were typed: an interpolation in one has another value in every job.

    Args:
        hydra: Hydra's section of a configuration.
        which: ``task`` for those of keys of ours, ``hydra`` for those of Hydra's.
    """
    typed: Any = OmegaConf.to_container(hydra.overrides[which], resolve=False)
    return list(typed)


def _spelled_out(override: str, config: DictConfig) -> str:
    parsed = OverridesParser.create().parse_override(override)
    if parsed.value_type is not ValueType.GLOB_CHOICE_SWEEP:
        return override
    loader = GlobalHydra.instance().config_loader()
    # A search path may be among Hydra's own overrides.
    options = loader.get_group_options(
        parsed.key_or_group, ObjectType.CONFIG, config.hydra.job.config_name, as_typed(config.hydra, "hydra")
    )
    known = [option for option in options if not option.endswith("_schema")]
    sweep: Any = parsed.value()
    chosen = sweep.filter(known)
    if not chosen:
        raise InputError(
            f"{override}: no option of {parsed.key_or_group} is called so; "
            + (f"there are {', '.join(known)}" if known else "it is no config group")
        )
    return f"{parsed.get_key_element()}=choice({','.join(chosen)})"
