"""IBM Quantum's stand-in as a process: `python tests/ibm_stand_in --devices fez torino --port 8123`.

Its first line of output is JSON: the URL, and the environment variables that point the client at it; with
``--shell`` it prints lines that set them in a shell instead. It keeps its jobs until it is stopped. Other
processes look and turn knobs under ``URL/_stand_in/``, see `control`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder is a package there
    from ibm_stand_in.devices import Device
    from ibm_stand_in.faults import Fault
    from ibm_stand_in.jobs import Queues
    from ibm_stand_in.server import serve
    from ibm_stand_in.service import StandIn

    parser = argparse.ArgumentParser(prog="python tests/ibm_stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--devices", nargs="+", default=["fez", "torino"], help="fake backends: fez torino")
    parser.add_argument("--shell", action="store_true", help="print export lines for a shell")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how many times as fast as real machines (default: as fast)"
    )
    parser.add_argument("--queues", type=json.loads, default={}, help="knobs of the queues, JSON")
    parser.add_argument("--faults", type=json.loads, default=[], help="what goes wrong, JSON list")
    parser.add_argument("--noisy", action="store_true", help="results from Aer with the machines' errors")
    arguments = parser.parse_args()
    state = StandIn(
        [Device.of_fake(name) for name in arguments.devices],
        queues=Queues(**{"speed": arguments.speed} | arguments.queues),
        faults=[Fault(**fault) for fault in arguments.faults],
        noisy=arguments.noisy,
    )
    server = serve(state, arguments.port)
    if arguments.shell:
        told = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in state.environment.items())
    else:
        told = json.dumps({"url": state.url, "environment": state.environment}) + "\n"
    sys.stdout.write(told)
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
