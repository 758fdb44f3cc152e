"""Interrupts are found behind other exceptions, whatever chain these make."""

from __future__ import annotations

from qexp.errors import InputError, interrupt_behind


def test_an_interrupt_is_found_behind_what_it_caused():
    cleaning_up = ValueError("half done")
    cleaning_up.__context__ = KeyboardInterrupt()
    assert isinstance(interrupt_behind(cleaning_up), KeyboardInterrupt)
    assert interrupt_behind(InputError("a mistake")) is None
    assert interrupt_behind(None) is None


def test_exceptions_that_caused_each_other_end_the_search():
    one, other = InputError("refused"), SystemExit(2)
    one.__cause__, other.__cause__ = other, one
    assert interrupt_behind(one) is None
    alone = ValueError("itself")
    alone.__context__ = alone
    assert interrupt_behind(alone) is None
