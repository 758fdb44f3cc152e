"""All options there are: importing this module registers those that ship with qexp and of installed packages.

Every module that registers an option is imported: a new file is a new option, a new folder a new room.
"""

import importlib
from importlib import metadata
from pathlib import Path

from qexp.config.option import GROUPS, REGISTRY
from qexp.config.outside import BROKEN, reason

HERE = Path(__file__).parent
REGISTERS = "\n@option("
"""How a module that registers an option reads: others may import what takes long, these must not."""

ENTRY_POINTS = "qexp.options"
"""Group of entry points; each names a module whose import registers options."""


def load_installed() -> None:
    """Import the modules that installed packages name; one that fails is left out, and noted in `BROKEN`."""
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        groups, options = dict(GROUPS), {group: dict(known) for group, known in REGISTRY.items()}
        try:
            entry.load()
        except Exception as error:  # noqa: BLE001 -- somebody else's code must not keep qexp from starting
            BROKEN[entry.name] = f"{entry.value}: {reason(error)}"
            # All of them: half of a package's options would fail later, and less clearly.
            GROUPS.clear()
            GROUPS.update(groups)
            REGISTRY.clear()
            REGISTRY.update(options)


for _file in sorted(HERE.glob("*/**/*.py")):
    if REGISTERS in _file.read_text(encoding="utf-8"):
        importlib.import_module(".".join(("qexp", *_file.relative_to(HERE).with_suffix("").parts)))
load_installed()
