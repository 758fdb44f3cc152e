"""What docs/python.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cases import quick_first

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
PRINTED = {
    "error": ["did you mean 'env.tasks'"],
    "run": ["weighted fidelity_weight=0.2", "COMPLETED", "completion_time.png"],
    "experiment": ["10\n", "met", "weighted fidelity_weight=0.2"],
    "compare": ["weighted fidelity_weight=0.2", "Name: total_wait"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", quick_first(PRINTED))
def test_an_example_prints_what_it_should(name, tmp_path, python):
    (tmp_path / "example.py").write_text(BLOCKS[name], encoding="utf-8")
    ended = python("example.py", cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    for words in PRINTED[name]:
        assert words in ended.out
    assert (tmp_path / "outputs").exists() == (name in {"run", "experiment"})


def test_every_example_is_run():
    assert BLOCKS.keys() == PRINTED.keys()
    assert PAGE.count("```python") == len(BLOCKS)
