"""The table of faults: what each does to each kind of request, as Markdown on standard output.

    python tests/faults/table.py

It ends with 1 where an outcome is another one than is written down in `expected`. It needs
Debian's ``docker-registry``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.cells import STOPPED, SURVIVED, TOLD, TOLD_AND_THERE, Sides, both_sides, quickly
from faults.expected import EXPECTED
from faults.operations import OPERATIONS, Operation
from faults.rows import FAULTS, Fault
from proxy import Stall

LETTERS = {SURVIVED: "s", TOLD: "e", TOLD_AND_THERE: "t", STOPPED: "i"}


def expected(fault: Fault, operation: Operation) -> str | None:
    """Return the outcome that is written down for a cell; ``None`` where there is no cell."""
    letter = EXPECTED[fault.name].replace(" ", "")[OPERATIONS.index(operation)]
    return {letter: outcome for outcome, letter in LETTERS.items()}.get(letter)


def outcome(sides: Sides, fault: Fault, operation: Operation) -> str | None:
    """Try a cell out."""
    rules = fault.rules(operation)
    if rules is None:
        return None
    # Only what is stalled is waited for; else, a registry may be slow without any fault.
    stalls = any(isinstance(rule.action, Stall) for rule in rules)
    with quickly(0.5 if stalls else 10.0):
        if operation.flow == "make":
            return sides.make(rules, operation=operation, way=fault.way)
        return sides.push(rules, way=fault.way)


def markdown(rows: Sequence[tuple[str, Sequence[str | None]]]) -> str:
    """Return a table with the operations as its columns."""
    head = ["fault", *(operation.title for operation in OPERATIONS)]
    body = [[name, *(cell or "—" for cell in cells)] for name, cells in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run(sides: Sides, tell: Callable[[str], object]) -> tuple[str, int]:
    """Try every cell; return the table, and how many are not as expected."""
    rows: list[tuple[str, list[str | None]]] = []
    surprises = 0
    for fault in FAULTS:
        cells = [outcome(sides, fault, operation) for operation in OPERATIONS]
        for operation, cell in zip(OPERATIONS, cells, strict=True):
            if cell != expected(fault, operation):
                surprises += 1
                tell(f"{operation.title}: {fault.name}: {cell}, not {expected(fault, operation)}")
        rows.append((fault.name, cells))
    return markdown(rows), surprises


def main() -> int:
    """Print the table; return 0 when all is as expected."""
    logging.disable()  # of what is survived, there is nothing to say
    with both_sides() as sides:
        table, surprises = run(sides, lambda line: print(line, file=sys.stderr))
    print(table)
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
