"""Measure docker-charon beside its peers, on real registries, and print tables in Markdown.

    python tests/benchmarks/run.py > benchmark.md

It needs Debian's ``docker-registry``, and compares with what is installed of skopeo, crane, regctl
and curl. A full run takes some ten minutes, and 8 GB below the folder for temporary files.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The tests' own modules are found only now.
import registries
from benchmarks import chart, machine
from benchmarks.section import QUICK, SECTIONS, Bench, Scale


def main() -> int:
    """Run the sections; print what they found."""
    options = _options()
    if not registries.is_installed():
        print(f"{registries.PROGRAM} is missing: apt-get install {registries.PROGRAM}")
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="docker-charon-benchmark-") as folder,
        registries.docker_registry(Path(folder) / "source") as source,
    ):
        os.environ["TMPDIR"] = folder  # where the programs keep what they need for a while
        bench = Bench(source, Path(folder), options.runs, QUICK if options.quick else Scale())
        print(f"{machine.describe()}.\n{_programs()}.\nMedians of {options.runs}, in turn.\n")
        panels: list[chart.Panel] = []
        for name, section in SECTIONS.items():
            if name in options.only:
                print(f"{name}:", file=sys.stderr, flush=True)
                result = section(bench)
                print(result.table.markdown(), flush=True)
                panels += [result.panel] if result.panel else []
    if options.plot and panels:
        chart.draw(options.plot, panels)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: little is carried")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw a PNG; needs matplotlib")
    return parser.parse_args()


def _programs() -> str:
    versions = (
        machine.version_of(registries.PROGRAM, "--version"),
        machine.version_of("skopeo", "--version"),
        machine.version_of("crane", "version"),
        machine.version_of("regctl", "version"),
        machine.version_of("curl", "--version"),
    )
    return ", ".join(version for version in versions if version)


if __name__ == "__main__":
    sys.exit(main())
