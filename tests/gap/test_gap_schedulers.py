"""Schedulers compared in simulation and in measurement, and the campaign replayed."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from campaigns import campaign, toy_fidelity
from cases import quick_first

from qexp.config.option import REGISTRY, load_options
from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.simulator import Simulator
from qexp.errors import InputError
from qexp.gap.gap import measure
from qexp.gap.measure.clusters import margin, of_mean, of_median
from qexp.gap.measure.load import Load
from qexp.gap.measure.records import records
from qexp.gap.measure.schedulers import CALIBRATED, WAYS, SchedulerGap, _differences, ranks, reference
from qexp.gap.show.tables import tables
from qexp.placement.schedulers.clairvoyant import Clairvoyant
from qexp.placement.schedulers.met import MET
from qexp.placement.schedulers.random import Random
from qexp.placement.schedulers.round_robin import RoundRobin
from qexp.problem.scheduler import Scheduler

load_options()


@pytest.fixture
def gap_of(qce25, schedulers, tmp_path):
    """The gap of a made-up campaign."""

    def make(chosen=schedulers, others=(), scenario=qce25, **truth):
        with campaign(tmp_path / "journal.db", scenario, chosen, **truth) as journal:
            return measure(journal, scenario, dict(chosen) | dict(others), toy_fidelity)

    return make


@pytest.mark.slow
def test_a_campaign_of_the_simulator_itself_has_no_gap(gap_of):
    gap = gap_of(others={"met": MET(), "clairvoyant": Clairvoyant()}, blocks=3)
    for segment in gap.segments:
        for part in ("gap", "delay", "execution", "queue", "unknown", "queue_foreign", "queue_execution"):
            assert getattr(segment, part) == pytest.approx(0.0, abs=1e-9)
    for machine in gap.machines:
        assert machine.bias == pytest.approx(0.0, abs=1e-9)
        assert machine.factor in (None, pytest.approx(1.0))
    ran = [row for row in gap.schedulers if row.ran]
    assert {row.scheduler for row in ran} == {"mct", "greedy", "random"}
    for row in ran:
        for way in WAYS:
            measured = row.measured_held_out if way in CALIBRATED else row.measured
            assert getattr(row, way) == pytest.approx(measured)
        if row.scheduler != "mct":
            assert row.simulated_difference == pytest.approx(row.difference, abs=1e-9)
    assert all((rank.kendall, rank.spearman, rank.same_best) == (1.0, 1.0, True) for rank in gap.ranks)
    assert [row.measured for row in gap.schedulers if not row.ran] == [None, None]
    by_name = {row.scheduler: row for row in gap.schedulers}
    assert by_name["clairvoyant"].replayed < by_name["mct"].replayed < by_name["met"].replayed


def test_foreign_load_and_delay_are_in_the_replay(gap_of):
    """Where choices do not depend on queues, the replay with recorded load is the measurement."""
    chosen = {"random": Random(), "round_robin": RoundRobin()}
    gap = gap_of(chosen, {"met": MET()}, foreign=lambda *_: 4.0, delay=lambda *_: 1.5)
    for row in gap.schedulers:
        if row.ran:
            assert row.simulated < row.measured - 5
    total = sum(row.measured for row in gap.schedulers if row.ran)
    assert sum(row.replayed for row in gap.schedulers if row.ran) == pytest.approx(total)
    met = next(row for row in gap.schedulers if row.scheduler == "met")
    assert met.replayed > met.simulated + 5


@pytest.mark.slow
def test_a_campaign_whose_truth_is_learnt_is_replayed_decision_by_decision(qce25, tmp_path):
    """Schedulers see queues through the campaign's own eyes, and these see jobs run on past their time."""
    names = ["mct", "greedy", "least_busy", "weighted", "random"]
    schedulers = {name: REGISTRY["scheduler"][name]() for name in names}
    truth = replace(qce25)
    truth.service = 2 + 3 * qce25.service
    deployment = Simulator(tasks=100, seed=5, schedulers=names)
    plan = segments(qce25, deployment, names)
    meta = {"campaign": "qexp-test", "seed": deployment.seed}
    with Journal.create(tmp_path / "journal.db", planned_tasks(plan, deployment), meta) as journal:
        executor = deployment.executor(truth)
        executor.start(0.0)
        Campaign(journal, qce25, plan, schedulers, executor, deployment).run()
        gap = measure(journal, qce25, schedulers, toy_fidelity)
    assert gap.calibration.service.fleet == pytest.approx((2.0, 3.0))
    for row in gap.schedulers:
        assert row.replayed_calibrated == pytest.approx(row.measured_held_out)
        assert row.simulated_calibrated == pytest.approx(row.measured_held_out)
        assert row.simulated < row.measured / 2
    mct = next(row for row in gap.schedulers if row.scheduler == "mct")
    assert mct.replayed_informed < mct.measured_held_out


def test_an_answer_that_is_no_machine_is_not_the_last_one(gap_of):
    class Wrong(Scheduler):
        def select(self, task, nodes):
            return -1

    with pytest.raises(InputError, match=r"^scheduler: Wrong answered -1 for task 0: .* between 0 and 4$"):
        gap_of(others={"wrong": Wrong()})


@pytest.mark.slow
def test_calibrated_replay_is_nearer_to_the_measurement(rough):
    ran = [row for row in rough.schedulers if row.ran]
    before = np.array([abs(row.simulated - row.measured) for row in ran])
    after = np.array([abs(row.replayed_calibrated - row.measured_held_out) for row in ran])
    assert (after < before).all()


def test_what_only_one_scheduler_completed_is_compared_with_nobody(gap_of):
    def then(task, _):
        if task.scheduler == "mct" and task.position % 2:
            task.state = State.FAILED

    gap = gap_of(then=then, blocks=2)
    assert {row.tasks for row in gap.schedulers} == {25}  # the even ones of 50
    assert gap.counted == 125


def test_a_scheduler_that_completed_nothing_is_named(gap_of):
    def then(task, _):
        if task.scheduler == "greedy":
            task.state = State.CANCELLED

    gap = gap_of(then=then)
    assert {row.scheduler for row in gap.schedulers if row.ran} == {"mct", "random"}
    assert any("Completed no task" in note and "greedy" in note for note in gap.notes)
    assert any("50 cancelled" in note for note in gap.notes)


def test_one_scheduler_has_no_order(gap_of, schedulers):
    gap = gap_of({"mct": schedulers["mct"]}, blocks=1)
    assert gap.ranks == []
    assert gap.hold_out.split == "tasks"
    assert any("ran alone" in note for note in gap.notes)


def test_an_unknown_scheduler_is_measured_and_not_simulated(qce25, schedulers, tmp_path):
    with campaign(tmp_path / "journal.db", qce25, schedulers) as journal:
        gap = measure(journal, qce25, {"mct": schedulers["mct"]}, toy_fidelity)
    assert [row.simulated is None for row in sorted(gap.schedulers, key=lambda row: row.scheduler)] == [
        True,
        False,
        True,
    ]
    assert all(row.measured is not None and row.recorded is not None for row in gap.schedulers)
    assert any("no such scheduler" in note for note in gap.notes)
    assert [rank.way for rank in gap.ranks] == ["recorded"]


def made_up(name, measured, simulated):
    values = dict.fromkeys(field.name for field in fields(SchedulerGap))
    known = {"scheduler": name, "ran": True, "blocks": 1, "tasks": 9}
    return SchedulerGap(**values | known | {"measured": measured, "simulated": simulated})


def test_ranks_by_hand():
    # Measured order a b c d, simulated b a c d: of six pairs one is turned round, tau = (5 - 1) / 6;
    # rho = 1 - 6 * (1 + 1) / (4 * 15).
    gaps = [made_up(*row) for row in [("a", 1, 6), ("b", 2, 5), ("c", 3, 7), ("d", 4, 8)]]
    [found] = ranks(gaps)
    assert (found.way, found.schedulers, found.same_best) == ("simulated", 4, False)
    assert found.kendall == pytest.approx(4 / 6)
    assert found.spearman == pytest.approx(0.8)


def test_ties_have_no_order():
    [found] = ranks([made_up("a", 1.0, 3.0), made_up("b", 2.0, 3.0)])
    assert (found.kendall, found.spearman) == (None, None)
    assert ranks([made_up("a", 1.0, 3.0)]) == []


def test_load_of_a_machine_without_jobs_is_that_of_all():
    load = Load({(0, "a"): 5.0}, {"a": 3.0, "b": 1.0}, 2.0, 0.0)
    assert load.seconds(0, ["a", "b", "c"]).tolist() == [5.0, 1.0, 2.0]
    assert load.seconds(1, ["a", "b", "c"]).tolist() == [3.0, 1.0, 2.0]


def test_intervals_need_blocks(gap_of, rough):
    for gap in (gap_of(blocks=2), rough):  # of four
        assert all(row.difference_low is None for row in gap.schedulers)
        assert any("Fewer than 5 blocks" in note for note in gap.notes)


@pytest.mark.slow
def test_differences_are_to_a_scheduler_that_was_fixed_beforehand(gap_of, schedulers):
    found = {
        row.scheduler: row for row in gap_of(blocks=5, foreign=lambda _, rng: rng.exponential(3)).schedulers
    }
    assert {row.reference for row in found.values()} == {"mct"}
    assert found["mct"].difference is None
    for name in ("greedy", "random"):
        row = found[name]
        assert row.difference == pytest.approx(row.measured - found["mct"].measured)
        assert row.difference_low < row.difference < row.difference_high
    assert reference(["c", "b"], ["a", "b", "c"]) == "b"
    assert reference(["b", "mct"], ["b", "mct"]) == "mct"


@pytest.mark.parametrize("blocks", quick_first([5, 8]))
def test_intervals_over_blocks_cover_what_they_claim(blocks):
    rng, campaigns = np.random.default_rng(blocks), 4000
    counts = rng.integers(15, 26, (campaigns, blocks)).astype(float)
    totals = counts * rng.normal(1.0, 1.0, (campaigns, blocks))
    reach = np.array([margin(*each) for each in zip(totals, counts, strict=True)])
    covered = np.abs(totals.sum(axis=1) / counts.sum(axis=1) - 1.0) <= reach
    assert covered.mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_no_difference_is_found_between_equal_schedulers():
    """Three others, all as good as the reference: some interval misses 0 in at most 5 % of campaigns."""
    rng, counts = np.random.default_rng(7), np.full(8, 25.0)
    alarms = 0
    for _ in range(2000):
        base, *others = (_totals_of(rng.normal(3.0, 1.0, 8) * counts) for _ in range(4))
        found = [_differences(other, base, counts, 1 - 0.05 / 3) for other in others]
        alarms += any(not row["difference_low"] <= 0 <= row["difference_high"] for row in found)
    assert alarms / 2000 < 0.06


def _totals_of(measured):
    return {"measured": measured}


def test_intervals_of_machines_take_segments_for_their_units():
    """Tasks of a segment share what shifts it: an interval over tasks would cover 47 %."""
    rng, campaigns = np.random.default_rng(3), 1000
    unit = np.repeat(np.arange(8), 12)
    covered = np.zeros(2)
    for _ in range(campaigns):
        values = np.repeat(rng.normal(0, 1, 8), 12) + rng.normal(0, 0.5, 96)
        for k, ends in enumerate((of_mean(values, unit), of_median(values, unit))):
            covered[k] += ends[0] is None or ends[0] <= 0 <= ends[1]
    assert covered[0] / campaigns == pytest.approx(0.95, abs=0.02)
    assert covered[1] / campaigns > 0.9


def test_calibrated_figures_are_of_blocks_that_the_calibration_has_not_seen(rough):
    """Of four blocks, the last two; all other figures are of all."""
    late = [row for row in rough.tasks if row.block >= 2]
    for gap in rough.schedulers:
        assert (gap.blocks, gap.held_out) == (4, 2)
        common = set.intersection(
            *(
                {r.position for r in late if r.counted and r.scheduler == s.scheduler}
                for s in rough.schedulers
                if s.ran
            )
        )
        if gap.ran:
            mine = [r.completion for r in late if r.scheduler == gap.scheduler and r.position in common]
            assert gap.measured_held_out == pytest.approx(np.mean(mine))
    by_way = {rank.way: rank for rank in rough.ranks}
    order = sorted((row for row in rough.schedulers if row.ran), key=lambda row: row.measured_held_out)
    best = min(order, key=lambda row: row.replayed_calibrated)
    assert by_way["replayed_calibrated"].same_best == (best is order[0])


def test_a_single_block_has_no_second_half(gap_of):
    gap = gap_of(blocks=1)
    assert all(
        (row.held_out, row.measured_held_out) == (1, row.measured) for row in gap.schedulers if row.ran
    )
    assert any("half of the same tasks" in table.caption for table in tables(gap))


@pytest.mark.slow
@pytest.mark.parametrize("blocks", quick_first([3, 1]))
def test_downtime_is_no_scheduler_s_doing(qce25, schedulers, tmp_path, blocks):
    """The process is dead for an hour within a segment of block 1 (of the only block)."""
    hit = min(blocks - 1, 1)

    def late(task, _):
        return 3600.0 if task.block == hit and task.scheduler == "greedy" and task.position % 5 == 0 else 0.0

    with campaign(tmp_path / "journal.db", qce25, schedulers, blocks=blocks, delay=late) as journal:
        before = measure(journal, qce25, schedulers, toy_fidelity)
        segment = next(t.segment for t in journal.tasks() if t.block == hit and t.scheduler == "greedy")
        journal.note("resumed", journal.segments()[segment][0] + 3600.0)
        gap = measure(journal, qce25, schedulers, toy_fidelity)
    found = {row.scheduler: row for row in gap.schedulers}
    assert not any("interrupted" in note for note in before.notes)
    [note] = [note for note in gap.notes if "interrupted" in note]
    assert {row.block for row in gap.tasks if row.interrupted} == {hit}
    if blocks == 1:
        assert "nothing else" in note
        assert found["greedy"].measured > 500
        return
    assert "block 1" in note
    assert {row.blocks for row in found.values()} == {2}
    was = next(row.measured for row in before.schedulers if row.scheduler == "greedy")
    assert found["greedy"].measured < 100 < was
    for row in found.values():
        assert row.replayed == pytest.approx(row.measured)
    assert gap.hold_out.total_after.error_pct == pytest.approx(0.0, abs=1e-6)


def test_a_campaign_gone_on_with_between_segments_was_not_interrupted_in_one(qce25, schedulers, tmp_path):
    with campaign(tmp_path / "journal.db", qce25, schedulers) as journal:
        for begin, end in journal.segments().values():
            journal.note("resumed", begin)
            journal.note("resumed", end)
        assert not any(row.interrupted for row in records(journal, toy_fidelity))


def test_foreign_load_is_not_cut_off_block_by_block(qce25, rough):
    """Half of the blocks -1 s and half +3 s is 1 s; a machine below 0 over the campaign has none."""
    rows = [
        replace(row, id=k, block=k % 2, node=node, left_out="")
        for k, (row, node) in enumerate(zip(rough.tasks[:8], ["kolkata"] * 4 + ["hanoi"] * 4, strict=True))
    ]
    foreign = {k: (-1.0 if k % 2 else 3.0) * (1 if k < 4 else -1) for k in range(8)}
    load = Load.of(rows, foreign)
    seen = [load.seconds(block, ["kolkata", "hanoi"]).tolist() for block in (0, 1)]
    assert np.mean(seen, axis=0).tolist() == [1.0, 0.0]
