"""Policies for gates: bundles of their own, schedules without Ray, and the critical path before training."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from qexp.errors import InputError
from qexp.gates.circuit import checked_circuit
from qexp.gates.features import CONTEXT_FEATURES, GATE_FEATURES
from qexp.gates.gate import Gate
from qexp.gates.generators import WorkshopCircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.policy import GatePolicy
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook, named_rulebook
from qexp.gates.schedule import forward_starts, violations
from qexp.gates.schedulers.list_scheduling import critical_path
from qexp.gates.tables import MachineTables
from qexp.policy import load_policy
from qexp.problem.bundle import save_policy
from qexp.problem.network import ScorerNetwork

CIRCUIT = [("measure", 0, 0), ("measure", 1, 1), ("x", 1, 1)]


def save(path, seed=0, trained=True, **metadata):
    """Save a network of random weights; an untrained one scores by its prior alone."""
    torch.manual_seed(seed)
    architecture = GatePolicy.architecture(hidden=16, **metadata.pop("architecture", {}))
    network = ScorerNetwork(architecture)
    if trained:
        torch.nn.init.normal_(network.score_out.weight)
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    about = {"algorithm": "a2c", "environment": "gate_scheduling", "rulebook": "cnot"}
    return save_policy(path, weights, about | metadata | {"architecture": architecture.as_dict()})


def circuits(count, gates, machine):
    generator = WorkshopCircuitGenerator(0)
    generator.set_state_attributes(machine_properties=machine, max_gates=gates)
    return [next(generator) for _ in range(count)]


def problem_of(circuit, machine, rulebook):
    tables = MachineTables.of(machine)
    return Problem.of(tables, checked_circuit(circuit, tables), rulebook)


@pytest.mark.parametrize("machine", ["workshop2", "starmon5", "ten_qubit"])
def test_an_untrained_policy_is_the_critical_path_at_any_length(tmp_path, machine):
    policy = load_policy(save(tmp_path / "policy", trained=False))
    properties = MachineProperties.from_file(machine)
    for circuit in circuits(10, 60, properties):
        problem = problem_of(circuit, properties, named_rulebook("cnot"))
        assert policy.schedule(circuit, machine) == forward_starts(problem, critical_path(problem))


@pytest.mark.parametrize("outputs", [{}, {"dueling": True}, {"atoms": 11, "value_min": -1.0}])
def test_any_weights_give_schedules_that_the_machine_can_run(tmp_path, outputs):
    policy = load_policy(save(tmp_path / "policy", architecture=outputs))
    properties = MachineProperties.from_file("starmon5")
    for circuit in circuits(5, 40, properties):
        problem = problem_of(circuit, properties, named_rulebook("cnot"))
        assert violations(problem, policy.starts(problem)) == []
        starts = policy.schedule(circuit, properties)
        assert starts == forward_starts(problem, policy.starts(problem))
        assert min(starts) == 0


def test_the_rulebook_is_that_of_the_training_unless_another_is_given(tmp_path):
    circuit = [("x", 1, 1), ("cnot", 0, 1), ("x", 1, 1)]
    policy = load_policy(save(tmp_path / "policy", rulebook="default"))
    trained_with_cnot = load_policy(save(tmp_path / "other", rulebook="cnot"))
    assert policy.schedule(circuit, "workshop2") == [0, 2, 6]
    assert sorted(trained_with_cnot.schedule(circuit, "workshop2")) != [0, 2, 6]
    assert trained_with_cnot.schedule(circuit, "workshop2", "default") == [0, 2, 6]
    assert trained_with_cnot.schedule(circuit, "workshop2", CommutationRulebook()) == [0, 2, 6]
    with pytest.raises(InputError, match="unknown rulebook 'nothing'"):
        policy.schedule(circuit, "workshop2", "nothing")


def test_a_machine_may_be_a_file_and_an_empty_circuit_has_an_empty_schedule(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "n_qubits: 1\ngates: {x: 3}\nmachine_restrictions: {same_start: [], not_in_same_cycle: {}}\n"
    )
    policy = load_policy(save(tmp_path / "policy"))
    assert policy.schedule([Gate("x", 0, 0)] * 3, file) in ([0, 3, 6], [6, 3, 0])
    assert policy.schedule([], file) == []
    with pytest.raises(InputError, match="unknown machine 'nowhere'"):
        policy.schedule([], "nowhere")
    with pytest.raises(InputError, match=r"gate 0 \(y on 0\): the machine has no gate 'y'"):
        policy.schedule([("y", 0, 0)], file)


def test_a_qiskit_circuit_is_scheduled_too(tmp_path):
    qiskit = pytest.importorskip("qiskit")
    circuit = qiskit.QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    policy = load_policy(save(tmp_path / "policy"))
    assert policy.schedule(circuit, "workshop2") == [0, 2, 6, 6]


def test_a_schedule_needs_neither_ray_nor_gymnasium_nor_torch(tmp_path, without):
    bundle = save(tmp_path / "policy")
    code = without("ray", "gymnasium", "torch", "hydra", "qiskit", "mlflow") + (
        "from qexp.policy import load_policy\n"
        f"print(load_policy({str(bundle)!r}).schedule({CIRCUIT!r}, 'workshop2'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == load_policy(bundle).schedule(CIRCUIT, "workshop2")


def test_padding_changes_no_decision_and_the_order_of_gates_only_their_order(tmp_path):
    policy = load_policy(save(tmp_path / "policy"))
    rng = np.random.default_rng(0)
    task = rng.normal(size=(7, len(CONTEXT_FEATURES))).astype(np.float32)
    nodes = rng.normal(size=(7, 5, len(GATE_FEATURES))).astype(np.float32)
    scores = policy.scores(task, nodes)
    order = rng.permutation(5)
    assert np.allclose(policy.scores(task, nodes[:, order]), scores[:, order], atol=1e-5)
    padded = np.concatenate([nodes, np.zeros((7, 3, len(GATE_FEATURES)), np.float32)], axis=1)
    present = np.arange(8) < np.full((7, 1), 5)
    assert np.allclose(policy.scores(task, padded, None, present)[:, :5], scores, atol=1e-5)
    torch_scores, _ = policy.network()(
        *map(torch.from_numpy, (task, padded)), None, torch.from_numpy(present)
    )
    assert np.allclose(torch_scores[:, :5].detach().numpy(), scores, atol=1e-4)
    chosen = policy.decide(task, padded, present, present)
    assert (chosen == policy.decide(task, nodes, np.ones((7, 5)))).all()


def test_a_bundle_says_what_it_is_for(tmp_path):
    bundle = save(tmp_path / "policy")
    description = json.loads((bundle / "policy.json").read_text())
    assert description["environment"] == load_policy(bundle).environment == "gate_scheduling"
    assert description["features"]["nodes"] == list(GATE_FEATURES)
    for environment, message in [("routing", "is for env=routing"), ("placement", "other features")]:
        (bundle / "policy.json").write_text(json.dumps(description | {"environment": environment}))
        with pytest.raises(InputError, match=message):
            load_policy(bundle)
