"""The examples of docs/gate-scheduling.md run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from qexp.gates.machine import MachineProperties

TEXT = (Path(__file__).parents[2] / "docs" / "gate-scheduling.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(
    "code", blocks("python"), ids=["learning", "compatible", "trained_on", "without_gymnasium"]
)
def test_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "docs/gate-scheduling.md", "exec"), names)  # noqa: S102 - the documentation's own text
    if "save" in names:
        assert (tmp_path / "schedule.png").stat().st_size > 10_000
        assert max(names["starts"]) < names["info"]["makespan"]
        assert names["circuit"].count_ops()["delay"] > 0
    elif "env" in names:
        assert names["terminated"]


def test_the_machine_file_is_one():
    (text,) = blocks("yaml")
    mapping = yaml.safe_load(text)
    mapping.pop("description")
    machine = MachineProperties.from_mapping(mapping)
    assert machine.cycle_ns == 20
    machine.cycle_ns = None
    assert machine == MachineProperties.from_file("workshop2")


def test_the_core_needs_nothing_heavy(python, tmp_path):
    core = ("engine", "schedule", "machine", "generators", "circuit")
    code = f"import sys, {', '.join(f'qexp.gates.{name}' for name in core)}\n"
    heavy = "{'gymnasium', 'matplotlib', 'qiskit', 'torch', 'pandas', 'ray', 'pygame'}"
    assert python("-c", f"{code}print(sorted({heavy} & set(sys.modules)))", cwd=tmp_path).out == "[]\n"
    code = "import sys, qexp.env.gate_scheduling as g; g.GateSchedulingEnv().reset()\n"
    ended = python("-c", f"{code}print(sorted({heavy} & set(sys.modules)))", cwd=tmp_path)
    assert (ended.out, ended.err) == ("['gymnasium']\n", "")
