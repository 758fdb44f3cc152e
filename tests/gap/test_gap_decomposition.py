"""The parts of the gap sum to the whole, whatever was measured; and an example by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from campaigns import toy_fidelity, write
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.deploy.campaign.journal import State, Task
from qexp.errors import InputError
from qexp.gap.measure.decomposition import decompose
from qexp.gap.measure.machines import machine_gaps
from qexp.gap.measure.records import left_out, records
from qexp.gap.measure.replay import with_simulation


def task(number, node, arrival, **values):
    given = {
        "segment": 0,
        "block": 0,
        "scheduler": "mct",
        "position": number,
        "circuit": "ghz_5",
        "width": 5,
        "depth": 6,
        "shots": 1024,
        "offset": arrival,
        "state": State.DONE,
    }
    return Task(id=number, node=node, arrival=arrival, **given | values)


@pytest.fixture
def by_hand():
    """Three tasks on two machines; kolkata was kept busy by somebody else from 13 to 16."""
    return [
        task(0, "kolkata", 0.0, predicted_service=10.0, created=1.0, running=1.0, finished=13.0),
        task(1, "kolkata", 2.0, predicted_service=5.0, created=2.0, running=16.0, finished=20.0),
        task(2, "hanoi", 4.0, predicted_service=6.0, created=4.5, running=4.5, finished=9.5),
    ]


def rows_of(tasks, scenario, folder, fidelity=toy_fidelity):
    with write(folder / "journal.db", tasks) as journal:
        return with_simulation(scenario, records(journal, fidelity))


def test_three_tasks_by_hand(by_hand, qce25, tmp_path):
    rows = rows_of(by_hand, qce25, tmp_path)
    # Simulated: kolkata works from 0 to 10 and to 15, so the second waits 8 s; hanoi from 4 to 10.
    assert [row.simulated_wait for row in rows] == [0.0, 8.0, 0.0]
    assert [row.simulated_completion for row in rows] == [10.0, 13.0, 6.0]
    [found], foreign = decompose(qce25, rows)
    # Measured 13 + 18 + 5.5. Delays of 1 and 0.5 s. Executions +2, -1 and -1 s. Waits of 14 s in place of 8:
    # 2 because the job before took 2 s longer, 1 because it was accepted 1 s late, 3 for the other's job.
    assert (found.measured, found.simulated, found.gap) == (36.5, 29.0, 7.5)
    assert (found.delay, found.execution, found.queue, found.unknown) == (1.5, 0.0, 6.0, 0.0)
    assert (found.queue_execution, found.queue_submission, found.queue_foreign) == (2.0, 1.0, 3.0)
    assert foreign == {0: 0.0, 1: 3.0, 2: 0.0}
    assert (found.fidelity_tasks, found.fidelity) == (0, None)


def test_bias_and_factor_by_hand(by_hand, qce25, tmp_path):
    gaps = machine_gaps(rows_of(by_hand, qce25, tmp_path), qce25.fleet.names)
    found = {(gap.machine, gap.quantity): gap for gap in gaps}
    execution = found["kolkata", "execution"]
    # 12 for 10 and 4 for 5: +2 and -1 s, 1.2 and 0.8 times; the middle of two logarithms is their mean.
    assert (execution.tasks, execution.measured, execution.predicted) == (2, 8.0, 7.5)
    assert execution.bias == 0.5
    assert execution.factor == pytest.approx(math.sqrt(1.2 * 0.8))
    assert execution.spread == pytest.approx(math.exp(math.log(1.2 / 0.8) / math.sqrt(2)))
    assert execution.bias_low is execution.factor_low is None  # two tasks
    wait = found["kolkata", "wait_open_loop"]
    assert (wait.bias, wait.factor_tasks, wait.factor) == (3.0, 1, pytest.approx(14 / 8))
    assert found["all machines", "execution"].bias == 0.0
    assert ("washington", "execution") not in found
    assert ("kolkata", "wait") not in found  # no prediction was written down
    assert ("kolkata", "fidelity") not in found


def test_fidelity_gap_by_hand(by_hand, qce25, tmp_path):
    by_hand[0].counts, by_hand[0].esp = {"00": 30, "11": 30, "01": 40}, 0.5
    by_hand[1].counts, by_hand[1].esp = {"00": 100}, 0.7
    by_hand[2].counts = {"00": 100}  # no ESP
    [found], _ = decompose(qce25, rows_of(by_hand, qce25, tmp_path))
    assert (found.fidelity_tasks, found.fidelity) == (2, pytest.approx((0.1 + 0.3) / 2))


@pytest.mark.slow
def test_intervals_hold_what_is_between_them(rough):
    executions = [gap for gap in rough.machines if gap.quantity == "execution" and gap.bias_low is not None]
    assert len(executions) > 3
    for gap in executions:
        assert gap.bias_low <= gap.bias <= gap.bias_high
        assert gap.factor_low <= gap.factor <= gap.factor_high
        assert gap.spread > 1
    slow = {gap.machine: gap.factor for gap in executions}
    assert slow["kolkata"] > 1.2 > slow["hanoi"]


seconds = st.floats(0, 1000).map(lambda value: round(value, 3))
maybe = st.one_of(st.none(), seconds)


@st.composite
def histories(draw):
    """Tasks of two segments with whatever times, known or not."""
    return [
        task(
            number,
            draw(st.sampled_from([None, "washington", "kolkata", "perth"])),
            draw(maybe),
            segment=draw(st.integers(0, 1)),
            state=draw(st.sampled_from([State.DONE, State.DONE, State.FAILED, State.RUNNING])),
            offset=draw(seconds),
            predicted_service=draw(maybe),
            created=draw(maybe),
            running=draw(maybe),
            finished=draw(maybe),
        )
        for number in range(draw(st.integers(1, 8)))
    ]


@dataclasses.dataclass
class JournalInMemory:
    """What the gap report reads of a journal, without a file that every change is synced to."""

    rows: list[Task]

    def tasks(self):
        return self.rows

    def events(self):
        return []

    def segments(self):
        return {0: (0.0, None)}


@examples(60)
@given(histories())
def test_parts_sum_to_the_whole(qce25, tasks):
    rows = with_simulation(qce25, records(JournalInMemory(tasks), toy_fidelity))
    found, _ = decompose(qce25, rows)
    for part in found:
        total = part.delay + part.execution + part.queue + part.unknown
        assert part.gap == pytest.approx(part.measured - part.simulated, abs=1e-6)
        assert total == pytest.approx(part.gap, abs=1e-6)
        queue = part.queue_execution + part.queue_submission + part.queue_foreign
        assert queue == pytest.approx(part.queue, abs=1e-6)
    counted = sum(row.counted for row in rows)
    assert sum(part.tasks for part in found) == counted
    assert counted + sum(left_out(rows).values()) == len(tasks)


def test_what_is_left_out_is_said_with_the_reason(by_hand, qce25, tmp_path):
    by_hand[0].state = State.FAILED
    by_hand[1].finished = None
    by_hand.append(task(3, None, 5.0, state=State.PLANNED))
    by_hand.append(task(4, "hanoi", 6.0, state=State.CANCELLED))
    rows = rows_of(by_hand, qce25, tmp_path)
    assert left_out(rows) == {"cancelled": 1, "failed": 1, "no times": 1, "not over": 1}
    assert [row.counted for row in rows] == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"node": "nowhere"}, "task 1 ran on 'nowhere'"), ({"circuit": "magic_3"}, "circuit 'magic_3'")],
)
def test_a_journal_of_another_scenario_is_refused(by_hand, qce25, tmp_path, change, words):
    by_hand[1] = dataclasses.replace(by_hand[1], **change)
    with pytest.raises(InputError, match=words):
        rows_of(by_hand, qce25, tmp_path)


def test_without_a_noted_prediction_the_scenario_s_is_taken(by_hand, qce25, tmp_path):
    by_hand[2].predicted_service = None
    row = rows_of(by_hand, qce25, tmp_path)[2]
    circuit, node = qce25.circuits.names.index("ghz_5"), qce25.fleet.names.index("hanoi")
    assert row.simulated_completion == pytest.approx(qce25.service[circuit, node])
    assert np.isfinite(row.simulated_completion)
