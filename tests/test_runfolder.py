"""The argument that goes on with a run: what a shell makes of it, Hydra takes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from qexp.runfolder import resume_with


def test_an_everyday_folder_is_typed_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        resume_with(tmp_path / "outputs" / "2026-11-26" / "10-00-00") == "resume=outputs/2026-11-26/10-00-00"
    )


@pytest.mark.parametrize(
    "name",
    ["scheduler=mct-seed=0", "a b", "it's", 'so "called"', "x,y", "(1)", "{a}", "a\\", "*?[]~"],
)
def test_any_other_folder_survives_shell_and_hydra(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (argument,) = shlex.split(resume_with(Path(name)))
    override = OverridesParser.create().parse_override(argument)
    assert override.key_or_group == "resume"
    assert override.value() == name
