"""Every fault of the table, on every kind of request: survived, or one clear error.

``ALL_CELLS=1`` tries the cells, too, that are left out because each of them starts a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from faults.cells import Sides
from faults.expected import EXPECTED
from faults.operations import OPERATIONS, Operation
from faults.rows import FAULTS, Fault, Way
from faults.table import LETTERS, expected, markdown, outcome

ALL = "ALL_CELLS" in os.environ
"""Whether to try every cell of the rows for which each cell starts a process; else every fourth."""


def cells() -> Iterator[Any]:
    """Yield every cell; all but one for each fault, of another operation each time, are slow."""
    for number, fault in enumerate(FAULTS):
        operations = [one for one in OPERATIONS if fault.rules(one) is not None]
        if fault.way is Way.PROCESS and not ALL:
            operations = operations[number % 4 :: 4]
        for place, operation in enumerate(operations):
            is_slow = place != number % len(operations)
            yield pytest.param(
                fault,
                operation,
                id=f"{operation.title}-{fault.name}",
                marks=[pytest.mark.slow] if is_slow else [],
            )


@pytest.mark.parametrize(("fault", "operation"), [*cells()])
def test_it_is_survived_or_told(sides: Sides, fault: Fault, operation: Operation) -> None:
    assert outcome(sides, fault, operation) == expected(fault, operation)


def test_every_cell_is_written_down_as_survived_or_told() -> None:
    assert list(EXPECTED) == [fault.name for fault in FAULTS]
    for fault in FAULTS:
        for operation in OPERATIONS:
            is_cell = fault.rules(operation) is not None
            assert (expected(fault, operation) in LETTERS) == is_cell, (fault.name, operation.title)


def test_the_table_has_a_column_for_each_operation() -> None:
    head, rule, row = markdown([("a fault", [None for _ in OPERATIONS])]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == len(OPERATIONS) + 2
    assert row.startswith("| a fault | — |")
