from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_type_hints

import pytest
from omegaconf import OmegaConf
from typing_extensions import Doc

from qexp.algo import A2C, DQN, PPO
from qexp.errors import InputError
from qexp.option import settable

CONF = Path(__file__).parents[2] / "conf" / "algo"


@pytest.mark.parametrize("cls", [A2C, DQN, PPO])
def test_defaults_in_code_are_those_of_the_file(cls):
    file = OmegaConf.load(CONF / f"{cls.__name__.lower()}.yaml")
    del file["defaults"]
    assert list(file) == [field.name for field in settable(cls)]
    assert OmegaConf.to_container(file) == dataclasses.asdict(cls())


@pytest.mark.parametrize("cls", [A2C, DQN, PPO])
def test_the_file_says_of_each_key_what_the_class_says(cls):
    text = (CONF / f"{cls.__name__.lower()}.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# {cls.__doc__.splitlines()[0]}"
    said = re.findall(r"((?:^# .*\n)+)^(\w+):", text.partition("_self_\n")[2], re.MULTILINE)
    comments = {key: " ".join(comment.replace("# ", "").split()) for comment, key in said}
    hints = get_type_hints(cls, include_extras=True)
    assert comments == {
        field.name: next(
            part.documentation for part in hints[field.name].__metadata__ if isinstance(part, Doc)
        )
        for field in settable(cls)
    }


@pytest.mark.parametrize("cls", [A2C, DQN, PPO])
def test_a_run_without_any_limit_is_refused_by_its_key(cls):
    with pytest.raises(InputError, match=r"^algo\.env_steps: "):
        cls(env_steps=None, seconds=None)


def test_a_replay_that_cannot_hold_its_rollouts_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"^algo\.buffer_size=1000: must be at least 1792 "):
        DQN(buffer_size=1000, num_envs=64, rollout_length=8, n_step=5)


@pytest.mark.parametrize(
    ("env_steps", "episodes"), [(6_000_000, 192), (100_000, 13), (1_000, 1), (1, 1), (None, 192)]
)
def test_a_small_budget_steps_fewer_episodes_at_once(env_steps, episodes):
    assert A2C(env_steps=env_steps, seconds=9.0, rollout_length=25).episodes_at_once == episodes
