"""A campaign that a policy placed, after its bundle is gone: what was measured can still be reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qexp.gap.__main__ import main
from qexp.problem.bundle import save_policy


@pytest.mark.slow
def test_the_gap_report_does_without_a_policy_that_cannot_be_read(qexp, make_weights, metadata, capsys):
    save_policy("bundle", make_weights(), metadata)
    quick = ("tracking=off", "plots=false", "eval.episodes=1", "eval.baselines=[mct]", "env.tasks=4")
    policy = ("scheduler=policy", "scheduler.path=bundle", "deploy.schedulers=[mct,policy]")
    ended = qexp(*quick, *policy, "deploy=simulator", "deploy.tasks=4", "hydra.run.dir=run")
    assert ended.status == 0, ended.err
    before = json.loads(Path("run/gap.json").read_text())
    shutil.rmtree("bundle")
    assert main(["run"]) == 0
    assert "not any more: policy." in " ".join(capsys.readouterr().out.split())
    after = json.loads(Path("run/gap.json").read_text())
    measured = [{row["scheduler"]: row["measured"] for row in gap["schedulers"]} for gap in (before, after)]
    assert measured[0] == measured[1]
    assert {row["scheduler"]: row["simulated"] is None for row in after["schedulers"]} == {
        "mct": False,
        "policy": True,
    }
