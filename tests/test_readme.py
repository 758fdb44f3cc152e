"""README and documents tell the truth: commands compose, links lead somewhere, the table is current."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import quick_first
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep

from qexp.cli import conf_dir
from qexp.config.commands import COMMANDS
from qexp.config.composition import register
from qexp.config.schema import validate

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Its commands need the files that it shows: tests/test_own_options.py runs them.
RUN_ELSEWHERE = {"own-options.md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A command in a block, on a line of its own, or in a sentence between backticks.
COMMAND = re.compile(r"(?:python3?[0-9.]*\s+-m\s+qexp|(?<![\w./-])qexp)(?=\s|$)(.*)")


def commands(text: str) -> Iterator[str]:
    """Yield what follows ``python -m qexp`` or ``qexp`` in each command shown."""
    in_block = False
    spoken = []
    for line in text.splitlines():
        if line.startswith("```"):
            in_block = not in_block
        elif in_block:
            typed = re.sub(r"^(\$ |make .*: )?(\S*bin/)?", "", line.strip())
            if found := COMMAND.fullmatch(typed):
                yield found[1].partition("#")[0]
        else:
            spoken.append(line)
    for quoted in re.findall(r"`([^`]+)`", "\n".join(spoken)):
        if found := COMMAND.fullmatch(quoted.replace("\n", " ")):
            yield found[1]


# Where each is shown first.
SHOWN = {
    " ".join(command.split()): document.name
    for document in reversed(DOCUMENTS)
    if document.name not in RUN_ELSEWHERE
    for command in commands(document.read_text(encoding="utf-8"))
}


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    """Make the config files known to Hydra."""
    register()
    # The command line's --help has a resolver of its own.
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def test_commands_are_found():
    text = "a\n```\npython -m qexp algo=a2c  # yes\nqexp --help\n.venv/bin/python -m qexp seed=1\n"
    text += "make run  # runs: python -m qexp seed=2\nmake test\n```\n"
    text += "and `python -m qexp\nalgo=dqn`, `qexp --cfg job`, `qexp.experiment`, `from qexp import x`"
    assert [c.split() for c in commands(text)] == [
        ["algo=a2c"],
        ["--help"],
        ["seed=1"],
        ["seed=2"],
        ["algo=dqn"],
        ["--cfg", "job"],
    ]
    assert len(list(commands(README.read_text(encoding="utf-8")))) >= 8


@pytest.mark.parametrize(
    "command",
    quick_first(sorted(SHOWN, key=lambda command: SHOWN[command] != README.name), 12),
    ids=lambda command: f"{SHOWN[command]}: {command}",
)
def test_every_command_shown_works(command):
    if command.split()[:1] in [name.split()[:1] for name in COMMANDS]:
        assert {" ".join(command.split()[:count]) for count in (1, 2)} & COMMANDS.keys()
        return
    words = [word for word in shlex.split(command) if word not in {"-m", "--multirun"} and "$" not in word]
    overrides = [word for word in words if not word.startswith("-")]
    if words[:1] == ["--cfg"] or words[:1] == ["-sc"]:
        overrides = overrides[1:]
    assert all("=" in word for word in overrides)
    # Files and servers in examples are the reader's own.
    made_up = {"scheduler.path", "backend.path", "env.workload.path", "resume"}
    one_job = [
        f"{key}=somewhere" if key in made_up else first_job(word)
        for word, key in ((word, word.partition("=")[0]) for word in overrides)
        if not key.startswith("hydra")
    ]
    validate(compose("config", one_job))


def first_job(word):
    """The override of a sweep's first job, of something between the ends for a search."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    if isinstance(override.value(), IntervalSweep):
        return f"{override.key_or_group}={override.value().start}"
    return f"{override.key_or_group}={next(override.sweep_string_iterator())}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
    missing = [t for t in targets if not (document.parent / t.partition("#")[0]).exists()]
    assert not missing
    for target in targets:
        assert not Path(target).is_absolute()


def test_the_readme_has_links_and_images():
    text = README.read_text(encoding="utf-8")
    assert len(LINK.findall(text)) > 5
    assert "![" in text


def test_the_table_of_options_is_current():
    table = runpy.run_path(str(ROOT / "docs" / "readme.py"))["options_table"]()
    shown = re.search(
        r"<!-- options -->\n(.*?)\n<!-- /options -->", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert shown
    # To renew it: python docs/readme.py
    assert shown[1] == table


def test_python_in_the_readme_is_python():
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        compile(block, "README.md", "exec")
