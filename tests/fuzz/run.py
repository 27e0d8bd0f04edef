"""Examine mutants, or one file: ``PYTHONPATH=tests python tests/fuzz/run.py FIRST COUNT``, or FILE.

It prints one JSON object: how the examinations ended, what should not have been, and the peak of
the memory in MiB. It is a program of its own so that its memory can be measured, and a mutant that
takes it down or hangs can be told.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import traceback
from collections import Counter
from pathlib import Path

from fuzz.examination import examine

PATIENCE = 60.0
"""Seconds for one examination, which takes a few milliseconds; for more, it hangs."""

_RESCUE = 4 * 1024**3  # bytes; what goes wild ends here, and not with the machine


def peak() -> int:
    """Return the most memory that this process has had, in MiB; its parent's is not in it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("this is not Linux")


def main() -> None:
    """Examine what the command line names."""
    resource.setrlimit(resource.RLIMIT_AS, (_RESCUE, _RESCUE))
    wrong: list[str] = []
    ends: Counter[str] = Counter()
    last: list[str] = []
    if len(sys.argv) == 2:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        last = examine(Path(sys.argv[1]), {})
    else:
        # Not for a single file: what pytest takes is not to be measured.
        from fuzz.mutation import RIGHT, mutant

        first, count = int(sys.argv[1]), int(sys.argv[2])
        for seed in range(first, first + count):
            sound, content, is_damage = mutant(seed)
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            try:
                last = examine(
                    content, sound.there, RIGHT if is_damage else None, jobs=1 + seed % 40 // 39
                )
                ends["whole" if last[0] == "whole" else "reported"] += 1
                ends["pushed" if last[2].endswith("pushed") else "refused"] += 1
            except BaseException:  # an AssertionError of ours, or what no caller should see
                wrong.append(f"mutant {seed}: {traceback.format_exc(limit=-6)}")
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"ends": ends, "last": last, "wrong": wrong[:20], "peak": peak()}))


if __name__ == "__main__":
    main()
