"""A server on the loopback interface that speaks as much of IBM Quantum's REST API as the tests need.

The client that talks to it is the unmodified qiskit-ibm-runtime; `StandIn.environment` points it here. What a
machine is comes from the files that the client's fake backends are made of, which are the API's own answers.
`python tests/ibm_stand_in` runs it as a process of its own.
"""

from ibm_stand_in.devices import Device, Reply
from ibm_stand_in.faults import Fault
from ibm_stand_in.server import stand_in
from ibm_stand_in.service import CRN, TOKEN, StandIn

__all__ = ["CRN", "TOKEN", "Device", "Fault", "Reply", "StandIn", "stand_in"]
