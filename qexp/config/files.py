"""The option files under ``conf/``, written from the options' classes.

``make conf`` runs ``python -m qexp.config.files``. Presets and Hydra's own settings are written by hand.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from qexp.config.composition import conf_dir
from qexp.config.option import REGISTRY, Key, defaults_list, is_ours, keys, load_options, words
from qexp.config.root import Config

WIDTH = 120
BEGIN, END = "# <keys>: written from qexp/config/root.py", "# </keys>"
"""Lines of config.yaml between which the root's keys are."""


def texts(conf: Path) -> dict[Path, str]:
    """Return the text that each generated file in a folder ``conf/`` should have."""
    load_options()
    files = {
        conf / group / f"{name}.yaml": _option_file(cls, name)
        for group, options in REGISTRY.items()
        for name, cls in options.items()
        if is_ours(cls)
    }
    root = conf / "config.yaml"
    head, _, rest = root.read_text(encoding="utf-8").partition(BEGIN)
    body = "\n".join(line for key in keys(Config).values() for line in [*_lines(key), ""])
    files[root] = f"{head}{BEGIN}\n\n{body}{END}{rest.partition(END)[2]}"
    return files


def _option_file(cls: type, name: str) -> str:
    """Return the text of an option's file: what it is, its defaults list, every key with its words."""
    defaults = [
        item if isinstance(item, str) else ": ".join(next(iter(item.items())))
        for item in defaults_list(cls, name)
    ]
    listed = [f"defaults: [{', '.join(defaults)}]"]
    if len(defaults) > 2:
        listed = ["defaults:", *(f"  - {item}" for item in defaults)]
    values = [line for key in keys(cls).values() if not key.group for line in _lines(key)]
    return "\n".join([*_comment(words(cls)), *listed, *([""] if values else []), *values]) + "\n"


def _lines(key: Key, indent: str = "") -> Iterator[str]:
    yield from _comment(words(key.section) if key.section else key.words, indent)
    yield f"{indent}{key.name}:{'' if key.section else f' {_value(key)}'}"
    for below in keys(key.section).values() if key.section else ():
        yield from _lines(below, f"{indent}  ")


def _value(key: Key) -> str:
    if key.required or key.follows is not None:
        return key.follows or "???"
    value = key.default
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:_}"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    return text.removesuffix("...").strip()


def _comment(text: str, indent: str = "") -> list[str]:
    lead = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead, break_long_words=False)


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` only say which would change; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m qexp.config.files", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would")
    check = parser.parse_args(arguments).check
    stale = {
        file: text
        for file, text in texts(conf_dir()).items()
        if not file.is_file() or file.read_text(encoding="utf-8") != text
    }
    for file, text in stale.items():
        print(f"{file}: {'differs from its class: run make conf' if check else 'written'}")
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
