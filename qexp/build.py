"""The one place where a config becomes an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from hydra.errors import InstantiationException
from hydra.utils import instantiate

T = TypeVar("T")


def make(config: Mapping[str, Any], base: type[T], **runtime: Any) -> T:
    """Instantiate an option.

    Args:
        config: The option's resolved config, with its ``_target_``.
        base: Class the result must be an instance of.
        **runtime: Constructor arguments that come from code.

    Raises:
        InputError: The option refuses its values.
        TypeError: The config builds something else than ``base``.
    """
    try:
        # _convert_="all": options get plain lists and dicts, not OmegaConf's. _partial_: what code passes in
        # must not go through OmegaConf, which would take a dataclass for a config.
        made = instantiate(config, _convert_="all", _partial_=True)(**runtime)
    except InstantiationException as error:
        # Hydra's wrapping would make a bug look like bad input.
        raise error.__cause__ or error from None
    if not isinstance(made, base):
        raise TypeError(f"{config['_target_']} is a {type(made).__name__}, not a {base.__name__}")
    return made
