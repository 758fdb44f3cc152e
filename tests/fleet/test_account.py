"""Accounts never come through the command line, and what refuses them does not repeat them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qexp.errors import InputError
from qexp.fleet.account import refuse_secrets

TOKEN = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kL7nP9rS"  # noqa: S105 looks like one, and opens nothing
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123:0456::"
ORDINARY = [
    "algo=a2c",
    "env.tasks=25",
    "scheduler.path=outputs/2026-11-21/12-00-00-000000/policy",
    "eval.baselines=[mct,weighted,least_busy,greedy_error,round_robin]",
    "experiment=a_rather_long_name_of_a_preset_of_44_letters_x",
    "tracking.uri=https://tracking.example.org:5000",
    "-m",
    "hydra/launcher=joblib",
    "backend.path=fleets/0123456789abcdef0123456789abcdef01234567.yaml",
]
SECRET = [
    f"deploy.token={TOKEN}",
    "deploy.token=short",
    f"+token={TOKEN}",
    f"++deploy.instance={CRN}",
    f"backend.path={CRN}",
    f"sweep={TOKEN}",
    f"deploy.schedulers=[mct,{TOKEN}]",
    "+x=${oc.env:QISKIT_IBM_TOKEN}",
    f"tracking.uri=https://{TOKEN}@host",
    TOKEN,
]


def test_ordinary_commands_pass():
    refuse_secrets(ORDINARY)


@pytest.mark.parametrize("argument", SECRET)
def test_accounts_are_refused_and_not_repeated(argument: str):
    with pytest.raises(InputError, match="QISKIT_IBM_TOKEN") as refusal:
        refuse_secrets(["algo=none", argument])
    assert TOKEN not in str(refusal.value)
    assert CRN not in str(refusal.value)


def test_the_account_in_use_is_recognised_whatever_it_looks_like(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "not-like-a-token")
    with pytest.raises(InputError):
        refuse_secrets(["sweep=my-not-like-a-token-sweep"])


def test_the_command_ends_with_one_line_and_leaves_nothing(qexp, tmp_path: Path):
    ended = qexp("tracking=off", f"+deploy.token={TOKEN}")
    assert ended.status == 2
    assert re.fullmatch(r"qexp: deploy\.token: [^\n]+\n", ended.err)
    assert TOKEN not in ended.err + ended.out
    assert not list((tmp_path / "cwd").iterdir())
