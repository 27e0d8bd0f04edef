"""The values of options: image names, names of files, the password, and the streams."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict, TypeVar

import typer

from docker_charon.errors import DockerCharonError
from docker_charon.files import is_same_file
from docker_charon.special_file import descriptor_of
from docker_charon.written_text import decoded, is_marked

if TYPE_CHECKING:
    from docker_charon.payload.volumes.joined_volumes import Ask, VolumePath

_STDOUT = 1  # its descriptor
_Value = TypeVar("_Value", str | None, list[str] | None)


def not_empty(value: _Value) -> _Value:
    """Refuse an empty name of a file, which a script has if one of its variables is not set."""
    if value is not None and "" in (value if isinstance(value, list) else [value]):
        raise typer.BadParameter("the name of the file is empty")
    return value


def path_only(value: str | None) -> str | None:
    """Refuse ``-`` too: a stream cannot be read again or replaced, and may have other content."""
    if value == "-":
        raise typer.BadParameter("- is not possible here: name a file")
    return not_empty(value)


def names_of(words: Iterable[str]) -> list[str]:
    """Return the names in words that may contain several names, separated by commas."""
    from docker_charon.lists.comma_list import split_names  # help does not need it

    return [name for word in words for name in split_names(word)]


def images_of(words: Iterable[str]) -> list[str]:
    """Return the names of images in words; refuse the name of a file that is here."""
    names = names_of(words)
    for name in names:
        if "." in name and _is_file(name):
            raise typer.BadParameter(
                f"{name} is a file, not an image: --images-from FILE reads a list of images, and "
                "--already-transferred-payload FILE reads one earlier payload"
            )
    return names


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # no file can have such a name
        return False


def only_one_stdin(users: Mapping[str, bool], hint: str) -> None:
    """Refuse to read standard input for two purposes; ``hint`` says what to do instead.

    ``users`` says for each purpose whether it reads standard input.
    """
    named = [name for name, reads in users.items() if reads]
    if len(named) > 1:
        raise typer.BadParameter(f"standard input cannot be {' and '.join(named)} at once: {hint}")


def password_of(password: str | None, from_stdin: bool) -> str | None:
    """Return the password; ``from_stdin`` reads it from standard input.

    From a terminal it is one line. Otherwise it is all of standard input without its last line
    break, as ``docker login`` takes it: a service account's key has many lines.
    """
    if not from_stdin:
        return password
    text = _standard_input() if sys.stdin is not None else ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise typer.BadParameter("there is no password on standard input")
    return text


class AccessArguments(TypedDict):
    """How to reach a registry and as whom: the same arguments of several functions."""

    secure: bool
    username: str | None
    password: str | None
    cacert: str | None
    cert: str | tuple[str, str] | None
    anonymous: bool


def access_of(context: typer.Context) -> AccessArguments:
    """Return what the options of a command say of the access to its registry.

    ``--anonymous`` wins over the login in environment variables, and excludes one in options.
    """
    options = context.params
    username, password, anonymous = options["username"], options["password"], options["anonymous"]
    cert, key, from_stdin = options["cert"], options["key"], options["password_stdin"]
    if key is not None and cert is None:
        raise typer.BadParameter("--key is the key of a client certificate: name that with --cert")
    if anonymous:
        sources = [context.get_parameter_source(name) for name in ("username", "password")]
        if from_stdin or any(source and source.name == "COMMANDLINE" for source in sources):
            raise typer.BadParameter("--anonymous goes without --username and a password")
        username = password = None
    password = password_of(password, from_stdin)
    if (username is None) != (password is None):
        raise typer.BadParameter("a login takes --username and a password, and one is missing")
    return {
        "secure": not options["insecure"],
        "username": username,
        "password": password,
        "cacert": options["cacert"],
        "cert": cert if key is None else (cert, key),
        "anonymous": anonymous,
    }


def _standard_input() -> str:
    """Read a line from a terminal, or all of a pipe or file, whose line breaks stay as they are."""
    if sys.stdin.isatty():
        return sys.stdin.readline()
    content = sys.stdin.buffer.read()
    if is_marked(content):  # Windows marks text with a BOM, through pipes as well
        return decoded(content, "surrogateescape")
    return content.decode("utf-8", "surrogateescape")


def volume_size_of(text: str | None) -> int | None:
    """Return the size of volumes in bytes."""
    if text is None:
        return None
    from docker_charon.payload.volumes.volume_size import parse_size  # help does not need it

    try:
        return parse_size(text)
    except DockerCharonError as error:
        raise typer.BadParameter(str(error)) from None


def mirror_kinds_of(words: Iterable[str]) -> list[str]:
    """Return the kinds of mirror configurations in words."""
    from docker_charon.transfer.renaming.mirrors import checked_kinds  # help does not need it

    try:
        return checked_kinds(names_of(words))
    except DockerCharonError as error:
        raise typer.BadParameter(str(error)) from None


def path_of(file: str, volume_dirs: Iterable[Path] | None, ask: Ask | None = None) -> VolumePath:
    """Return the path of a payload, which may have volumes; ``ask`` asks for missing ones."""
    from docker_charon.payload.volumes.joined_volumes import VolumePath  # help does not need it

    return VolumePath(Path(file), tuple(volume_dirs or ()), ask)


def file_of(argument: str | None, option: str | None) -> str:
    """Return the file that is named as an argument or as an option, or - if it is not named."""
    if argument is not None and option is not None:
        raise typer.BadParameter(f"the payload is named twice: as {argument}, and with -f {option}")
    return argument or option or "-"


def source_of(
    file: str, volume_dirs: Iterable[Path] | None = None, ask: Ask | None = None
) -> VolumePath | IO[bytes]:
    """Return the file to read a payload from: a path (see `path_of`), or standard input."""
    if file != "-":
        return path_of(file, volume_dirs, ask)
    return _piped_payload()


def sources_of(files: Iterable[str] | None) -> list[str | IO[bytes]]:
    """Return the files to read earlier payloads from: paths, or standard input for ``-``."""
    return [_piped_payload() if file == "-" else file for file in files or ()]


def _piped_payload() -> IO[bytes]:
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter("a payload cannot be read from a terminal: name a file, or a pipe")
    return sys.stdin.buffer


def target_of(file: str, *, dry_run: bool = False, in_volumes: bool = False) -> str | IO[bytes]:
    """Return the file to write a payload to: a path, or standard output."""
    if file != "-" and descriptor_of(file) != _STDOUT:
        return file
    if in_volumes:
        raise typer.BadParameter("volumes cannot be written to standard output: use -f PATH")
    if sys.stdout is None:
        raise typer.BadParameter("standard output is closed: use -f PATH")
    if sys.stdout.isatty() and not dry_run:
        raise typer.BadParameter("a payload cannot be written to a terminal: use -f PATH or a pipe")
    return sys.stdout.buffer


def not_replaced(files: Iterable[str], contents: str, written: Mapping[str, object]) -> None:
    """Refuse to write over one of these files; ``contents`` are in them.

    ``written`` are the paths and files to write, by what they are.
    """
    for file in files:
        for what, target in written.items():
            if is_same_file(file, target):
                raise typer.BadParameter(f"the {what} would replace {file}, which has {contents}")
