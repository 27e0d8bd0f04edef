"""A soak: random faults on both halves of the trip, each set of rules from a seed of its own.

    python tests/faults/soak.py --sets 5000        # seeds 0, 1, 2, ...
    python tests/faults/soak.py --seed 4711        # one set again, with its rules

Whatever goes wrong, a flow either survives it or ends in one clear error. It needs Debian's
``docker-registry``.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.cells import SURVIVED, TOLD, TOLD_AND_THERE, Sides, both_sides, quickly
from faults.rows import OTHER_DIGEST, FlipSentBit
from proxy import (
    HTML,
    Action,
    Answer,
    Close,
    DropAnswer,
    DropHeader,
    FlipBit,
    IgnoreRange,
    Reset,
    ResetUpload,
    Rule,
    SetHeader,
    Stall,
    Truncate,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "GET|HEAD", "POST|PUT", ".*")
PATHS = ("", "/manifests/", "/manifests/1$", "/manifests/sha", "/blobs/sha", "/uploads/", "mount=")
STATUSES = (400, 401, 403, 404, 405, 408, 413, 416, 429, 500, 502, 503, 504, 507)
HEADERS = {
    "Content-Length": ("0", "1", "99999", "-1", "many"),
    "Content-Range": ("bytes 0-9/10", "bytes */*", "nonsense"),
    "Content-Type": ("text/html", "application/json", "nonsense"),
    "Docker-Content-Digest": (OTHER_DIGEST, "sha256:short", ""),
    "Location": ("", "/", "/v2/", "nonsense"),
    "Range": ("0-0", "0-99999999", "nonsense"),
    "Connection": ("close",),
}
GOOD = {SURVIVED, TOLD, TOLD_AND_THERE}
PATIENCE = 0.2
"""Seconds for a server that says nothing. Wrongly lost patience is one more fault."""


def rules(chance: random.Random) -> list[Rule]:
    """Return one to four faults, in random places, a random number of times."""
    return [
        Rule(
            chance.choice(METHODS),
            chance.choice(PATHS),
            action(chance),
            times=chance.choice((1, 1, 1, 2, 3, 6, None)),
            skip=chance.choice((0, 0, 1, 2, 5)),
        )
        for _ in range(chance.randint(1, 4))
    ]


def action(chance: random.Random) -> Action:
    """Return one fault."""
    offset = int(10 ** chance.uniform(0, 4.5)) - 1
    name = chance.choice(list(HEADERS))
    kinds: list[Action] = [
        chance.choice((Reset, Close))(),
        chance.choice((Reset, Close))(offset),
        chance.choice((Stall(), Stall(offset))),
        ResetUpload(offset),
        DropAnswer(),
        Truncate(offset),
        chance.choice((FlipBit, FlipSentBit))(offset),
        IgnoreRange(),
        SetHeader(name, chance.choice(HEADERS[name])),
        DropHeader(name),
        Answer(chance.choice(STATUSES)),
        Answer(chance.choice((429, 503)), {"Retry-After": chance.choice(("0", "1", "soon"))}),
        HTML,
    ]
    return chance.choice(kinds)


def soak(sides: Sides, seeds: range) -> Iterator[tuple[int, str, str]]:
    """Make the trip once a seed; yield what has become of both halves."""
    for seed in seeds:
        chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
        jobs = chance.choice((1, 4))
        with quickly(PATIENCE):
            made = sides.make(rules(chance), jobs, must_happen=False)
            pushed = sides.push(rules(chance), jobs, must_happen=False)
        yield seed, made, pushed


def replay(seed: int) -> str:
    """Return the rules that come of a seed."""
    chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
    lines = [f"seed {seed}, {chance.choice((1, 4))} jobs"]
    for flow in ("make", "push"):
        lines += [f"  {flow}: {_line(rule)}" for rule in rules(chance)]
    return "\n".join(lines)


def _line(rule: Rule) -> str:
    action = ", ".join(f"{name}={value!r}" for name, value in vars(rule.action).items())
    often = "always" if rule.times is None else f"{rule.times} times"
    what = f"{type(rule.action).__name__}({action})"
    return f"{rule.method} {rule.path or 'anything'}: {what} {often}, after {rule.skip}"


def failures(sides: Sides, seeds: range, counts: Counter[str]) -> Iterator[str]:
    """Yield what is wrong, with the rules that led to it; count the outcomes."""
    for seed, made, pushed in soak(sides, seeds):
        counts[f"make: {made}"] += 1
        counts[f"push: {pushed}"] += 1
        if not {made, pushed} <= GOOD:
            yield f"make: {made}; push: {pushed}\n{replay(seed)}"


def main() -> int:
    """Soak; return 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=200, help="sets of rules")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.sets)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
        print(replay(options.seed))
    counts: Counter[str] = Counter()
    failed = False
    logging.disable()  # of what is survived, there is nothing to say
    with both_sides() as sides:
        for failure in failures(sides, seeds, counts):
            print(failure, flush=True)
            failed = True
    for outcome, count in counts.most_common():
        print(f"{count:6,} {outcome}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
