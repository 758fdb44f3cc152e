"""Made-up fleets: any size, the same every time, and like the fleet they imitate."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.fleet.fleet import FORMAT, load_fleet
from qexp.fleet.machines import MACHINES
from qexp.fleet.synthetic import FIGURES, Synthetic
from qexp.placement.workload.catalogue import MQT50


def logs(nodes):
    return np.log([[node.clops, *(getattr(node.calibration, name) for name in FIGURES)] for node in nodes])


def test_a_seed_is_a_fleet_and_another_seed_another():
    assert Synthetic().load() == Synthetic().load()
    assert Synthetic().load().hash == Synthetic().load().hash
    assert Synthetic(seed=1).load().hash != Synthetic().load().hash
    assert len(Synthetic().load()) == 200


def test_a_larger_fleet_begins_with_the_smaller_one():
    assert Synthetic(machines=30).load().nodes[:7] == Synthetic(machines=7).load().nodes


def test_every_machine_has_a_catalogue_machine_with_room_for_its_circuits():
    for like in ("ibm13", "heron"):
        fleet = Synthetic(like=like).load()
        assert len(set(fleet.names)) == 200
        known = {node.name: node for node in load_fleet(like).nodes}
        for node in fleet.nodes:
            assert node.machine in known
            assert MACHINES[node.machine].qubits / 2 - 0.5 <= node.qubits <= MACHINES[node.machine].qubits
            assert node.calibration.t2 <= 2 * node.calibration.t1
            assert max(getattr(node.calibration, name) for name in FIGURES[2:]) <= 0.5


@pytest.mark.parametrize("machines", [1, 2, 200])
def test_whatever_fits_the_real_fleet_fits_the_made_up_one(machines):
    circuits = MQT50().circuits(Synthetic(machines=machines).load())
    assert circuits.feasible.any(axis=1).all()
    # And where a circuit fits, it has a compiled form.
    assert not np.isnan(circuits.compiled_depth[circuits.feasible]).any()


def test_figures_are_distributed_as_in_the_real_fleet():
    real = logs(load_fleet("ibm13").nodes)
    drawn = logs(Synthetic(machines=3000).load().nodes)
    spread = real.std(axis=0, ddof=1)
    assert np.abs(drawn.mean(axis=0) - real.mean(axis=0)) == pytest.approx(0, abs=0.1 * spread.max())
    assert drawn.std(axis=0) == pytest.approx(spread, rel=0.1)
    # What goes together goes together: for instance, T1 and T2.
    assert np.corrcoef(drawn.T)[1, 2] == pytest.approx(np.corrcoef(real.T)[1, 2], abs=0.1)


def test_a_fleet_of_one_machine_has_no_spread(tmp_path):
    fez = load_fleet("heron").nodes[1]
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"format": FORMAT, "name": "one", "nodes": [fez.model_dump()]}))
    fleet = Synthetic(machines=5, like=str(path)).load()
    assert [node.clops for node in fleet.nodes] == [fez.clops] * 5
    assert fleet.nodes[0].calibration == fez.calibration
    assert {node.machine for node in fleet.nodes} == {"fez"}


def test_an_unknown_fleet_to_imitate_is_one_line():
    with pytest.raises(InputError, match=r"^backend\.like: cannot read fleet file ibm14"):
        Synthetic(like="ibm14").load()
