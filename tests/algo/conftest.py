from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def ray():
    """One quiet Ray for all tests that need one: starting it takes seconds."""
    from qexp.algo.session import ray_session

    with ray_session():
        yield
