"""Ray clusters that exist already: joining one, checking its nodes, and keeping a core for the learner."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qexp.errors import InputError

ANSWER_SECONDS = 5.0
NODE_SECONDS = 60.0
STDERR = 2  # its file descriptor
SAME_EVERYWHERE = ("numpy", "torch", "gymnasium")
"""Packages whose objects travel between nodes, besides qexp; Ray itself compares Ray and Python."""

HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client opens an HTTP/2 connection (RFC 9113, section 3.4): preface, then an empty SETTINGS frame."""


def join(address: str, key: str, num_env_runners: int) -> None:
    """Connect this process to a cluster and see that it can do the work.

    Args:
        address: ``auto`` or ``HOST:PORT``.
        key: What named the address, for messages.
        num_env_runners: Remote environment runners that must find a place.

    Raises:
        InputError: Nothing answers there, or it is no cluster this process could work with.
    """
    import ray

    where = f"{key}={address}"
    if "://" in address:
        raise InputError(
            f"{where}: the Ray client cannot train; run qexp on a node of the cluster, with auto or HOST:PORT"
        )
    _see_that_it_answers(where, address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: cannot join this Ray cluster: {reason}") from error
    try:
        _check_nodes(where, num_env_runners)
    except BaseException:
        ray.shutdown()
        raise


def _see_that_it_answers(where: str, address: str) -> None:
    """Refuse an address where no cluster listens: Ray itself would try for two minutes, then exit."""
    from ray._private import services

    try:
        head = services.canonicalize_bootstrap_address(address)
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: {error}; give auto, or HOST:PORT of the head node") from error
    if head is None:
        raise InputError(f"{where}: no Ray cluster runs on this machine; start one with ray start")
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(HTTP2_HELLO)
                # The fourth byte of the answer is its kind: 4 is a SETTINGS frame. Ray speaks gRPC.
                if connection.recv(9)[3:4] != b"\x04":
                    raise ConnectionError("what answers is not Ray")
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: no Ray cluster answers there ({error}); "
            "start one with ray start, or leave the address out for a Ray of the run's own"
        ) from error
    if not services.find_node_ids():
        raise InputError(
            f"{where}: this machine is not a node of the cluster; "
            f"run qexp on one, or make it one: ray start --address={head}"
        )


def _check_nodes(where: str, num_env_runners: int) -> None:
    """Refuse a cluster without the room, or with nodes whose packages differ from this process's."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cpus = int(ray.cluster_resources().get("CPU", 0))
    if num_env_runners > cpus:
        wanted = f"algo.num_env_runners={num_env_runners}"
        raise InputError(f"{wanted}: the Ray cluster at {where} has {cpus} CPUs")

    def versions(packages: tuple[str, ...]) -> dict[str, str]:
        # Everything it needs is in it: it travels by value, as a node may not have qexp.
        from importlib import import_module, metadata

        known = {}
        for package in packages:
            try:
                known[package] = metadata.version(package).partition("+")[0]
            except metadata.PackageNotFoundError:
                known[package] = "none"
        try:
            known["qexp"] = import_module("qexp").__version__
        except ImportError:
            known["qexp"] = "none"
        return known

    here = versions(SAME_EVERYWHERE)
    remote = ray.remote(num_cpus=0, max_retries=0)(versions)
    names, answers = [], []
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0):
            names.append(f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})")
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            answers.append(remote.options(scheduling_strategy=place).remote(SAME_EVERYWHERE))
    for name, answer in zip(names, answers, strict=True):
        try:
            there = ray.get(answer, timeout=NODE_SECONDS)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(f"{where}: node {name} runs nothing: {reason}") from error
        differing = (what for what in here if there[what] != here[what])
        if wrong := ", ".join(f"{what} {there[what]} instead of {here[what]}" for what in differing):
            raise InputError(f"{where}: node {name} has {wrong}; install the same on every node")


@contextmanager
def learner_seat() -> Iterator[None]:
    """Keep one core of this process's node free while environment runners are placed on a cluster.

    The learner works in this process and Ray does not know of it: without a seat the first runner would come
    and share its core. A job of a sweep has its CPU reserved already.
    """
    import ray
    from ray.util import placement_group, remove_placement_group

    several = ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1
    if not several or ray.util.get_current_placement_group() is not None:
        yield
        return
    here = ray.get_runtime_context().get_node_id()
    seat: Any = placement_group([{"CPU": 1}], bundle_label_selector=[{"ray.io/node-id": here}])
    try:
        seat.wait(1)  # a node without a free core has no seat to keep
        yield
    finally:
        # From now on a runner whose node is lost may come here: slower is better than not at all.
        remove_placement_group(seat)


@contextmanager
def stderr_without(text: bytes) -> Iterator[None]:
    """Hold back this process's standard error, Ray's C++ part too, and then drop lines that hold a text."""
    sys.stderr.flush()
    before = os.dup(STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, STDERR)
            os.close(before)
            held.seek(0)
            for line in held:
                if text not in line:
                    os.write(STDERR, line)
