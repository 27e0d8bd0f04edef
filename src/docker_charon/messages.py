"""Messages for people: they go to standard error and into logs, and cannot control a terminal.

Text from a registry, a payload or a file may contain anything: a line break that forges a message,
an escape sequence that sets the title of a window, a mark that reverses the direction of the text.
Everything is cleaned here before it is shown.
"""

from __future__ import annotations

import contextlib
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from typing import Any

_LOGIN = r"(?<!\S)([a-z][a-z0-9+.-]*://)?\S+@(?!(?:sha\w*(?::\w*)?)?(?:\s|$))"
_LOGIN_OF_NAME = r"\A([a-z][a-z0-9+.-]*://)?.*@(?!(?:sha\w*(?::\w*)?)?\s*\Z)"
_LONGEST_NAME = 120  # characters

_names_options = False
"""Whether messages name the options of the command line, and not the parameters of functions."""


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """Name the options of the command line in messages; the library names its parameters."""
    global _names_options
    before, _names_options = _names_options, True
    try:
        yield
    finally:
        _names_options = before


def argument(option: str, parameter: str) -> str:
    """Return how a message names an argument: as an option, or as the parameter of a function."""
    return option if _names_options else parameter


def one_line(text: str) -> str:
    """Return ``text`` with a space for each character that could control a terminal.

    These are control characters, line breaks, marks of text direction, and all others that
    `str.isprintable` does not accept.
    """
    return "".join(character if character.isprintable() else " " for character in text)


def hide_login(text: str) -> str:
    """Return a text in which ``***`` stands for what may be a username and a password.

    That is what a word has before its last ``@``, unless a digest or nothing follows this:
    ``me:secret@host/app`` becomes ``***@host/app``, and ``app:1@sha256:...`` stays.
    """
    if "@" not in text:
        return text
    return re.sub(_LOGIN, r"\1***@", text, flags=re.IGNORECASE)


def name_without_login(name: str) -> str:
    """Return what should be one name, as `hide_login` does a text with several words.

    A password may have spaces in it, so everything before the last ``@`` is hidden.
    """
    return re.sub(_LOGIN_OF_NAME, r"\1***@", name, flags=re.IGNORECASE | re.DOTALL)


def quoted_name(name: object) -> str:
    """Return in quotes what should be a name, without a login and not too long."""
    shown = repr(name_without_login(name) if isinstance(name, str) else name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 3]}..."


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; the arguments of its messages are cleaned."""
    import logging  # errors and help do not need it

    logger = logging.getLogger(name)
    logger.addFilter(_clean)
    return logger


def say(text: str) -> None:
    """Write a line to standard error, above the progress bars there."""
    line = f"docker-charon: {one_line(text)}"
    bar = getattr(sys.modules.get("tqdm"), "tqdm", None)  # another thread may be loading it
    if bar is not None:
        bar.write(line, file=STANDARD_ERROR)
    else:
        STANDARD_ERROR.write(f"{line}\n")


class StandardError:
    """Standard error, if the process has one. What cannot be written is dropped.

    A transfer goes on without its messages if the reader of a pipe, a terminal or the space on a
    disk is gone. Standard error is looked up at each call, because programs replace it.
    """

    def write(self, text: str) -> None:
        """Write ``text``."""
        with contextlib.suppress(OSError, ValueError):  # a closed file raises ValueError
            if sys.stderr is not None:
                sys.stderr.write(text)

    def flush(self) -> None:
        """Write what is in the buffer."""
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            return sys.stderr is not None and sys.stderr.isatty()
        return False

    def fileno(self) -> int:
        """Return the file descriptor; raise ``OSError`` or ``ValueError`` if it has none."""
        if sys.stderr is None:
            raise ValueError("the process has no standard error")
        return sys.stderr.fileno()

    @property
    def encoding(self) -> str | None:
        """The name of its encoding."""
        return getattr(sys.stderr, "encoding", None)


STANDARD_ERROR = StandardError()


def _clean(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(map(_cleaned, record.args))
    return True


def _cleaned(argument: Any) -> Any:
    return argument if isinstance(argument, (int, float)) else one_line(str(argument))
