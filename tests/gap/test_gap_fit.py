"""Calibration finds a truth that is put into a campaign, and leaves alone what is right."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from campaigns import campaign, noisy_counts, toy_fidelity
from cases import examples
from hypothesis import example, given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.calibrate.curves import AFFINE, FACTOR, SERVICE, line, power
from qexp.gap.calibrate.holdout import halves
from qexp.gap.calibrate.shrinkage import Jobs, choose, fit
from qexp.gap.gap import calibrate
from qexp.gap.measure.notes import of_calibration
from qexp.placement.service_time.repetition_delay import RepetitionDelay


@pytest.fixture(scope="module")
def found(qce25, schedulers, tmp_path_factory):
    """Calibrate on a campaign with a given truth."""

    def make(scenario=qce25, blocks=2, **truth):
        path = tmp_path_factory.mktemp("fit") / "journal.db"
        with campaign(path, scenario, schedulers, blocks=blocks, **truth) as journal:
            return calibrate(journal, scenario, toy_fidelity)

    return make


def test_overhead_and_factor_are_recovered(found, qce25):
    it = found(truth=lambda task, _: 2 + 3 * task.predicted_service)
    model = it.calibration.service
    assert model.family.name == "affine"
    assert model.fleet == pytest.approx((2.0, 3.0))
    held = it.hold_out
    assert held.split == "blocks"
    assert held.total_before.error_pct < -50
    assert held.total_after.error_pct == pytest.approx(0.0, abs=1e-6)
    assert held.execution_after.absolute == pytest.approx(0.0, abs=1e-9)
    fits = qce25.circuits.feasible
    assert it.calibration.seconds(qce25)[fits] == pytest.approx(2 + 3 * qce25.service[fits])
    assert np.isinf(it.calibration.seconds(qce25)[~fits]).all()


def test_what_is_right_is_left_alone(found, qce25):
    it = found()
    assert it.calibration.service.family.name == "as_predicted"
    assert np.array_equal(it.calibration.seconds(qce25), qce25.service)
    assert it.hold_out.total_after == it.hold_out.total_before
    assert it.hold_out.total_after.error_pct == pytest.approx(0.0, abs=1e-9)


def test_each_machine_gets_its_own_factor_where_it_has_one(found, qce25):
    slow = {"washington": 0.5, "kolkata": 1.5, "hanoi": 1.0, "perth": 3.0, "lagos": 2.0}
    it = found(truth=lambda task, _: slow[task.node] * task.predicted_service, blocks=6)
    model = it.calibration.service
    for name, jobs, (_, factor) in zip(qce25.fleet.names, model.jobs, model.machines, strict=True):
        if jobs > 20:
            assert factor == pytest.approx(slow[name], rel=0.15)
    assert abs(it.hold_out.total_after.error_pct) < 0.3 * abs(it.hold_out.total_before.error_pct)


def test_times_that_follow_the_circuits_are_recovered(found, qce25):
    """Predicted by layers, measured by repetition delay: with one number of shots, delay is overhead."""
    scenario = replace(qce25)
    duration = dict(zip(scenario.circuits.names, scenario.circuits.duration, strict=True))
    names = scenario.fleet.names

    def truth(task, _):
        return 2 + task.shots * (250e-6 + duration[task.circuit][names.index(task.node)])

    model = found(scenario, truth=truth).calibration.service
    assert model.family.name == "circuit_time"
    assert model.fleet == pytest.approx((2 + 1024 * 250e-6, 1.0))


def test_delay_of_acceptance_is_learnt_too(found):
    it = found(delay=lambda *_: 1.5)
    assert it.calibration.delay == pytest.approx(1.5)
    assert it.hold_out.total_before.error_pct < -1
    assert it.hold_out.total_after.error_pct == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_the_exponent_of_the_errors_is_recovered(found):
    model = found(then=lambda task, rng: noisy_counts(task, rng, exponent=0.6)).calibration.fidelity
    assert model.family.name == "power"
    assert model.fleet == pytest.approx((0.0, 0.6), abs=0.02)


def test_noisy_times_within_fifteen_percent(found):
    it = found(truth=lambda task, rng: (4 + 0.5 * task.predicted_service) * rng.lognormal(0, 0.3), blocks=4)
    assert abs(it.hold_out.total_after.error_pct) < 15 < abs(it.hold_out.total_before.error_pct)


def test_a_machine_without_jobs_has_the_fleet_s_curve_and_one_with_few_is_drawn_to_it():
    rng = np.random.default_rng(0)
    machine = np.array([0] * 60 + [1] * 2)
    x = rng.uniform(1, 20, len(machine))
    jobs = Jobs(machine, {"predicted": x}, np.where(machine == 0, 1.0, 4.0) * x)
    model = fit(FACTOR, jobs, 3, 8.0)
    assert model.machines[2] == model.fleet
    assert model.jobs == (60, 2, 0)
    assert model.machines[0][1] < model.machines[1][1] < 4
    free = fit(FACTOR, jobs, 3, 1e-9)
    assert free.machines[1] == pytest.approx((0.0, 4.0))


def test_one_job_that_hung_does_not_move_the_others():
    x = np.linspace(1, 20, 60)
    y = 2 + x + 0.05 * np.sin(7 * x)
    y[30] *= 100
    overhead, factor = line(x, y, np.ones(60), overhead=True)
    assert overhead == pytest.approx(2, abs=0.3)
    assert factor == pytest.approx(1, abs=0.05)


def test_a_plain_factor_keeps_the_total():
    rng = np.random.default_rng(1)
    x = rng.uniform(0.1, 30, 200)
    y = 1.7 * x * rng.uniform(0.8, 1.2, 200)
    assert line(x, y, np.ones(200), overhead=False)[1] * x.sum() == pytest.approx(y.sum(), rel=1e-3)


@examples(30)
@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=20),
    st.booleans(),
)
@example(pairs=[(5e-324, 1.0)], overhead=False)
def test_lines_are_never_negative(pairs, overhead):
    x, y = np.array(pairs).T
    found = line(x, y, np.ones(len(x)), overhead=overhead)
    assert np.isfinite(found).all()
    assert min(found) >= 0


@pytest.mark.parametrize("scale", [False, True])
def test_fidelities_of_zero_and_one_are_no_trouble(scale):
    x, y = np.array([0.0, 1e-40, 0.5, 1.0]), np.array([0.0, 0.0, 0.8, 1.0])
    assert np.isfinite(power(x, y, np.ones(4), scale=scale)).all()


def test_few_jobs_teach_nothing():
    jobs = Jobs(np.array([0, 0]), {"predicted": np.ones(2), "circuit_time": np.ones(2)}, np.array([5.0, 6.0]))
    model = choose(SERVICE, jobs, 1)
    assert (model.family.name, model.error) == ("as_predicted", None)


def test_a_workload_without_durations_is_fitted_without_them():
    x = np.arange(1.0, 21.0)
    jobs = Jobs(np.zeros(20, dtype=int), {"predicted": x, "circuit_time": np.full(20, np.nan)}, 1 + 2 * x)
    assert choose(SERVICE, jobs, 1).family is AFFINE


@pytest.mark.slow
def test_a_calibration_survives_its_file(found, qce25, tmp_path):
    it = found(
        truth=lambda task, rng: (1 + task.predicted_service) * (2 if task.node == "hanoi" else 1),
        then=noisy_counts,
        delay=lambda *_: 0.3,
    ).calibration
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(it.to_json(), allow_nan=False))
    again = Calibration.read(path)
    assert again == it
    assert np.array_equal(again.seconds(qce25), it.seconds(qce25))
    assert np.array_equal(again.fidelities(qce25), it.fidelities(qce25))
    assert (again.fidelities(qce25)[~qce25.circuits.feasible] == 0).all()


def test_a_calibration_fits_what_it_is_of(found, qce25, make_fleet, tmp_path):
    it = found().calibration
    with pytest.raises(InputError, match="ClopsDepth, not RepetitionDelay"):
        it.seconds(replace(qce25, service_time=RepetitionDelay()))
    with pytest.raises(InputError, match="other machines"):
        replace(it, machines=("a", "b")).seconds(qce25)
    (tmp_path / "other.json").write_text('{"format": "something"}')
    for name in ("other.json", "missing.json"):
        with pytest.raises(InputError, match=name):
            Calibration.read(tmp_path / name)


@pytest.mark.slow
def test_campaigns_are_halved_where_no_queue_is_cut(rough):
    rows = rough.tasks
    name, first = halves(rows)
    assert name == "blocks"
    assert {row.block for row in rows if row.id in first} == {0, 1}
    one = [row for row in rows if row.block == 0]
    name, first = halves(one)
    assert name == "segments"
    assert {row.segment for row in one if row.id in first} == {0, 1}  # of three
    alone = [row for row in one if row.segment == 0]
    name, first = halves(alone)
    counted = [row.id for row in alone if row.counted]
    assert name == "tasks"
    assert sorted(first) == counted[: (len(counted) + 1) // 2]
    assert halves([]) == ("tasks", set())


def test_a_calibration_that_did_not_help_is_noted(rough):
    held = rough.hold_out
    assert abs(held.total_after.error_pct) < abs(held.total_before.error_pct)
    assert list(of_calibration(held)) == []
    worse = replace(held, total_before=replace(held.total_before, error_pct=-1.0))
    worse = replace(worse, total_after=replace(held.total_after, error_pct=2.5))
    (note,) = of_calibration(worse)
    assert "+2.5 % with it, by -1.0 % without" in note
