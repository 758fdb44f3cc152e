"""The options that ship with qexp: importing this module registers them all.

Every module of these rooms that registers an option is imported: a new file is a new option.
"""

import importlib
from pathlib import Path

ROOMS = ("backend", "workload", "env", "gates", "scheduler", "algo", "deploy", "tracking")
HERE = Path(__file__).parent
REGISTERS = "\n@option("
"""How a module that registers an option reads: others may import what takes long, these must not."""

for _room in ROOMS:
    for _file in sorted((HERE / _room).rglob("*.py")):
        if REGISTERS in _file.read_text(encoding="utf-8"):
            importlib.import_module(".".join(("qexp", *_file.relative_to(HERE).with_suffix("").parts)))
