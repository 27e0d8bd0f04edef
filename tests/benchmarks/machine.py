"""The machine that a benchmark ran on, in one line: numbers mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

_VERSION = re.compile(r"\d+(?:\.\d+)+")


def describe() -> str:
    """Name the processor, its cores, the memory, the system and Python."""
    return (
        f"{_processor()}, {_cores()}, {_memory()}; {_system()}, Python {platform.python_version()}"
    )


def version_of(program: str, *arguments: str) -> str:
    """Return the program's name and version, or nothing if it is not installed."""
    if shutil.which(program) is None:
        return ""
    shown = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    version = _VERSION.search(shown.stdout + shown.stderr)
    return f"{program} {version[0]}" if version else program


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _cores() -> str:
    count = len(os.sched_getaffinity(0))
    return f"{count} core{'s' * (count != 1)}"


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
