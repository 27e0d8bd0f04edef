"""The program, as a process that signals meet at its first and its last moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""The exit statuses after each signal."""

AT_THE_START = """
import signal, sys
class Import:
    def find_spec(self, name, *_):
        if name == "typer":
            signal.raise_signal(int(sys.argv[1]))
sys.meta_path.insert(0, Import())
from docker_charon.cli.program import start
start()
"""
"""The program, which gets a signal while it imports its commands."""

AT_THE_END = """
import atexit, signal, sys
atexit.register(signal.raise_signal, int(sys.argv.pop()))
from docker_charon.cli.program import start
start()
"""
"""The program, which gets a signal while Python ends."""

IN_A_FINALIZER = """
import signal, sys, time
from docker_charon.cli import program, signals
class Finalized:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))
def run(_):
    Finalized()
    time.sleep(60)
import docker_charon.cli.commands as commands
commands.run = run
program.start()
"""
"""The program, which gets a signal while Python runs a finalizer, where exceptions are dropped."""


AT_WORK = """
import gc, types
from docker_charon.cli import program
import docker_charon.transfer.make as make
def make_payload(*_, **__):
    print(gc.isenabled(), gc.get_freeze_count() > 10_000)
    return types.SimpleNamespace(left_out={})
make.make_payload = make_payload
program.start()
"""
"""The program, which says whether Python searches for garbage while the library works."""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_the_start_is_one_line_and_its_exit_status(number: signal.Signals) -> None:
    done = run(AT_THE_START, number.value)
    assert (done.returncode, done.stdout) == (SIGNALS[number], "")
    assert done.stderr == "docker-charon: interrupted\n"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(("argument", "status"), [("--version", 0), ("--no-such-option", 2)])
def test_a_signal_at_the_end_changes_nothing(
    number: signal.Signals, argument: str, status: int
) -> None:
    done = run(AT_THE_END, argument, number.value)
    assert done.returncode == status
    assert done.stderr.count("\n") == (1 if status else 0), done.stderr


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_finalizer_ends_the_program_too(number: signal.Signals) -> None:
    done = run(IN_A_FINALIZER, number.value)
    assert (done.returncode, done.stderr) == (SIGNALS[number], "docker-charon: interrupted\n")


def test_another_exception_in_a_finalizer_is_shown_as_ever() -> None:
    program = IN_A_FINALIZER.replace("signal.raise_signal(int(sys.argv[1]))", "1 / 0")
    done = run(program.replace("    time.sleep(60)\n", ""))
    assert done.returncode == 0
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_garbage_is_searched_for_while_the_library_works() -> None:
    done = run(AT_WORK, "make-payload", "-r", "localhost:1", "-f", "p.zip", "app:1")
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


IN_A_BUFFER = """
import atexit, sys, threading
from docker_charon.cli import program
import docker_charon.cli.commands as commands
class Never:
    def __del__(self):
        print("taken apart", file=sys.stderr)
never = Never()
def run(_):
    print("the result")
    atexit.register(print, "the end")
    sys.exit(int(sys.argv[1]) or None)
commands.run = run
program.start()
"""
"""The program, with a result in a buffer, and a function that is called at the end."""


@pytest.mark.parametrize("status", [0, 3])
def test_the_end_writes_what_is_left_and_takes_nothing_apart(status: int) -> None:
    done = run(IN_A_BUFFER, status)
    assert (done.returncode, done.stdout, done.stderr) == (status, "the result\nthe end\n", "")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_result_that_cannot_be_written_at_the_end_is_an_error() -> None:
    command = [sys.executable, "-c", IN_A_BUFFER, "0"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with FULL.open("w") as output:
        done = subprocess.run(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            timeout=60,
        )
    assert done.returncode == 120
    assert "No space left on device" in done.stderr
