"""Answers of schedulers that there cannot be: one line that names the scheduler, the task and the machine."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.placement.placement import Placement
from qexp.placement.schedulers.mct import MCT
from qexp.problem.scheduler import Scheduler
from qexp.stages.evaluation import evaluate


class Later(MCT):
    """Decides well but for one task."""

    def __init__(self, task, answer):
        self.countdown, self.answer = task, answer

    def select(self, task, nodes):
        self.countdown -= 1
        return super().select(task, nodes) if self.countdown >= 0 else self.answer(task)


def play(scenario, scheduler):
    return scenario.play(scheduler, scenario.episode(0, 0), np.random.default_rng(0))


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize(
    "answer", [-1, 5, 99, 2.0, 1.5, np.nan, None, "1", [0, 1], np.array([0, 1])], ids=str
)
def test_an_answer_that_is_no_machine(qce25, mask, answer):
    with pytest.raises(
        InputError, match=r"^scheduler: Later answered .* for task 3: .* between 0 and 4$"
    ) as e:
        play(replace(qce25, mask=mask), Later(3, lambda _: answer))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", [int, np.int64, np.array, lambda node: np.array([node])])
def test_integers_of_every_kind_are_answers(qce25, kind):
    same = play(qce25, Later(0, lambda task: kind(task.mask.argmax())))
    assert same == play(qce25, Later(0, lambda task: int(task.mask.argmax())))


def test_a_masked_machine_is_refused_at_once(qce25):
    episode = qce25.episode(0, 0)
    first = int((~np.isfinite(episode.service)).any(axis=1).argmax())
    node = int(np.isinf(episode.service[first]).argmax())
    said = (
        rf"^scheduler: Ignorant chose machine {node} \({qce25.fleet.names[node]}\) for task {first}, which "
        rf"is masked for its circuit of {episode.width[first]} qubits: the scheduler ignores task.mask$"
    )
    assert re.search(said, evaluate(qce25, {"mine": Ignorant()}, episodes=1, seed=0).failed["mine"])


class Ignorant(Scheduler):
    """Chooses a machine that is too small whenever there is one."""

    def select(self, task, nodes):
        return int(np.isinf(task.service).argmax())


def test_without_a_mask_the_machine_refuses(qce25):
    scenario = replace(qce25, mask=False, max_refusals=6)
    with pytest.raises(
        InputError, match=r"^env\.max_refusals: Ignorant had a task refused 6 times; set env\.mask"
    ):
        play(scenario, Ignorant())


class Undecided(Scheduler):
    """Errs once in each task."""

    def select(self, task, nodes):
        fits = np.isfinite(task.service)
        return int(fits.argmax() if task.reschedules else fits.argmin())


def test_refusals_are_counted_as_before(make_fleet, qce25):
    totals = play(replace(qce25, mask=False), Undecided()).totals
    reschedules = dict(zip(Placement.episode_columns[2:], totals, strict=True))["reschedules"]
    assert reschedules == np.isinf(qce25.episode(0, 0).service).any(axis=1).sum() > 0
