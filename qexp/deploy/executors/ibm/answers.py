"""What IBM Quantum's answers mean. Every field of them may be missing, or be none that we know."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from qexp.deploy.executors.executor import JobState, Machine, UndecodableError

# Words for a machine that is online and does not work off its queue.
IDLE_WORDS = {"internal", "maintenance", "paused", "offline", "retired", "unavailable"}
RAN_TOO_LONG = 1305  # the service's code for it


def state_of(job: Mapping[str, Any]) -> tuple[JobState, str | None]:
    """Return where a job is, and why it came to nothing; never in the service's own words.

    Args:
        job: As GET /jobs/ID describes it.
    """
    state = job.get("state")
    state = state if isinstance(state, Mapping) else {"status": state}
    word = str(state.get("status") or job.get("status") or "").strip().lower()
    code = _code(state)
    if word.startswith("cancel"):
        if "too long" in f"{word} {state.get('reason')}".lower() or code == RAN_TOO_LONG:
            return JobState.FAILED, "the service stopped the job: it ran too long"
        return JobState.CANCELLED, None
    if word in {"completed", "done"}:
        return JobState.DONE, None
    if word in {"failed", "error"}:
        known = "" if code is None else f" (error code {code})"
        return JobState.FAILED, f"the job failed at the service{known}"
    return (JobState.RUNNING if word.startswith("running") else JobState.QUEUED), None


def has_state(job: Mapping[str, Any]) -> bool:
    """Return whether a description says where a job is at all."""
    return bool(job.get("state") or job.get("status"))


def _code(state: Mapping[str, Any]) -> int | None:
    """Return the service's error code, from its own field or from the beginning of the reason."""
    for key in ("reason_code", "reasonCode", "reason"):
        if found := re.search(r"\b\d{4}\b", str(state.get(key) or "")):
            return int(found.group())
    return None


def moment(text: object) -> float | None:
    """Return a moment, seconds since the epoch; without a time zone it is UTC. None if it is none."""
    with suppress(ValueError, TypeError, OverflowError):
        if isinstance(text, int | float) and not isinstance(text, bool):
            return float(text) if math.isfinite(text) else None
        at = datetime.fromisoformat(str(text))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def seconds(value: object) -> float | None:
    """Return a duration that is one, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    return None


def section(answer: object, name: str) -> Mapping[str, Any]:
    """Return a part of an answer; empty if there is none."""
    part = answer.get(name) if isinstance(answer, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def charged(metrics: Mapping[str, Any]) -> float | None:
    """Return the quantum seconds that a job was charged, None if they are not known (yet)."""
    usage = section(metrics, "usage")
    found = seconds(usage.get("qpu_charge_time_seconds"))
    found = seconds(usage.get("quantum_seconds")) if found is None else found
    found = seconds(section(metrics, "bss").get("seconds")) if found is None else found
    # Until the bill is made out it is 0.
    return None if not found and str(usage.get("status")).lower() == "pending" else found


def order_tag(tags: Iterable[str], orders: Iterable[str], campaigns: Iterable[str]) -> str:
    """Return which of a job's tags is its order's.

    Args:
        tags: Of the job.
        orders: Tags known to be orders'.
        campaigns: Tags known to be campaigns'.
    """
    tags = [str(tag) for tag in tags]
    ours = [tag for tag in tags if tag in orders]
    others = [tag for tag in tags if tag not in campaigns]
    # An order's tag may begin with its campaign's.
    long = [tag for tag in tags if any(tag != other and tag.startswith(other) for other in tags)]
    return next(iter(ours or (others if len(others) == 1 else long) or tags[-1:]), "")


def machine_of(listed: Mapping[str, Any]) -> Machine | None:
    """Return what an entry of GET /backends says of a machine; None if not whether it works."""
    status = listed.get("status")
    if isinstance(status, Mapping):
        online, word = status.get("name"), status.get("reason")
    else:
        online, word = status, None
    if not isinstance(online, str):
        return None
    working = online.lower() in {"online", "active", "available"}
    word = _word(word) or _word(online)
    word = "active" if working and word.lower() in {"available", "online"} else word
    return Machine(
        str(listed.get("name")),
        working and word.lower() not in IDLE_WORDS,
        word,
        _pending(listed.get("queue_length")),
    )


def machine_from_status(name: str, status: Mapping[str, Any]) -> Machine:
    """Return what GET /backends/NAME/status says of a machine."""
    word = _word(status.get("status")) or "unknown"
    working = bool(status.get("state")) and word.lower() not in IDLE_WORDS
    return Machine(name, working, word, _pending(status.get("length_queue")))


def _word(value: object) -> str:
    """Return the service's word for something, if it is one: nothing else of it is ever shown."""
    found = re.fullmatch(r"[A-Za-z][A-Za-z_ -]{0,29}", value.strip()) if isinstance(value, str) else None
    return found.group() if found else ""


def _pending(value: object) -> int | None:
    found = seconds(value)
    return None if found is None else int(found)


def decode(text: str) -> dict[str, int]:
    """Return the counts in a job's result.

    Args:
        text: As GET /jobs/ID/results has it, of either sampler's encoding.

    Returns:
        Counts by bit string, the last bit of the last register first.

    Raises:
        UndecodableError: It is no result of one circuit.
    """
    from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS

    try:
        raw = json.loads(text)
        kind = "executor" if isinstance(raw, dict) and "schema_version" in raw else "sampler"
        result: Any = reduce(
            lambda value, decoder: decoder.decode(value) if decoder.is_applicable(value) else value,
            DEFAULT_DECODERS[kind],
            text,
        )
        [pub] = result
        known = pub.metadata.get("circuit_metadata") or {}
        names = known.get("registers")
        # The answer may have the registers in any order; the circuit said which is its own.
        names = names if isinstance(names, list) and sorted(names) == sorted(pub.data) else list(pub.data)
        counts = pub.join_data(names).get_counts()
    except Exception as error:  # noqa: BLE001 whatever nonsense makes the decoders raise
        raise UndecodableError(
            f"IBM Quantum: the result cannot be decoded ({type(error).__name__})"
        ) from None
    if not counts:
        raise UndecodableError("IBM Quantum: the result is empty")
    return {str(outcome): int(count) for outcome, count in counts.items()}
