"""The executor for IBM Quantum, through the unmodified client, against its stand-in on loopback."""

from __future__ import annotations

from functools import partial

import pytest
from executor_contract import ExecutorContract
from ibm_account import NODES, account, another, executor


@pytest.fixture(scope="module")
def first():
    with account(), executor() as first:
        yield first


class TestIBMQuantum(ExecutorContract):
    nodes = NODES
    longest = 30.0

    @pytest.fixture
    def make(self, first):
        return partial(another, first)
