"""What reaches a caller: our own errors and ``TypeError``, each of one line that can be shown."""

from __future__ import annotations

import inspect
import io
import math
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import docker_charon
import images
from docker_charon import DockerCharonError, InvalidReference, ServerError
from images import image, layer

NAME = "app:1"

OF_EVERY_KIND: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "huge": 10**30,
    "fraction": 1.5,
    "no-number": math.nan,
    "bytes": b"bytes",
    "empty": "",
    "blank": " ",
    "word": "word",
    "two-words": "two words",
    "upper": "UPPER",
    "slashes": "../a//b/",
    "absent": "absent/below",
    "url": "https://user:password@127.0.0.1:1/v2/?a=b#c",
    "nul": "a\0b",
    "lines": "a\r\nb\x1b[31mc\u2028d",
    "surrogate": "a\ud800",
    "undecodable": "a\udcff",
    "unicode": "bücher.example",
    "long": "x" * 5000,
    "labels": "a." * 200,
    "path": Path("absent") / "below",
    "empty-list": [],
    "list": [None],
    "numbers": [1, 2],
    "texts": ["", "a\0b", "\ud800"],
    "nested": [["a"]],
    "mapping": {"a": None},
    "object": object(),
    "class": object,
}
IN_A_FOLDER: dict[str, Callable[[Path], Any]] = {
    "folder": lambda folder: folder,
    "below-a-file": lambda folder: folder / "file" / "below",
    "file": lambda folder: str(folder / "file"),
    "file-object": lambda folder: (folder / "file").open("rb"),
    "writer": lambda folder: (folder / "written").open("wb"),
    "appender": lambda folder: (folder / "file").open("ab"),
    "text-file": lambda folder: (folder / "file").open(),
    "closed": lambda folder: _closed((folder / "file").open("rb")),
    "closed-writer": lambda folder: _closed((folder / "written").open("wb")),
    "memory": lambda _: io.BytesIO(),
    "text-in-memory": lambda _: io.StringIO("text"),
    "reads-text": lambda _: _ReadsText(),
}


class _ReadsText:
    def read(self, size: int = -1) -> str:
        return "text"


def _closed(file: Any) -> Any:
    file.close()
    return file


def _serve(**arguments: Any) -> None:
    with docker_charon.serve(**arguments):
        pass


FUNCTIONS: dict[str, Callable[..., object]] = {
    "make_payload": docker_charon.make_payload,
    "make_inventory": docker_charon.make_inventory,
    "push_payload_to_registry": docker_charon.push_payload_to_registry,
    "verify_payload": docker_charon.verify_payload,
    "inspect_payload": docker_charon.inspect_payload,
    "serve": _serve,
}
FLAGS = (  # anything is true or not
    "secure",
    "strict",
    "include_referrers",
    "skip_referrers",
    "dry_run",
    "progress",
)
PARAMETERS = [
    (function, parameter)
    for function in FUNCTIONS
    for parameter in inspect.signature(getattr(docker_charon, function)).parameters
    if parameter not in FLAGS
]
LISTS = (
    "docker_images",
    "docker_images_to_transfer",
    "docker_images_already_transferred",
    "allow_hosts",
    "payloads",
    "payloads_already_transferred",
    "platforms",
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_charon.serve(storage=tmp_path_factory.mktemp("registry") / "storage") as server:
        images.put(server.address, NAME, image(layer(1)))
        yield server.address


@pytest.fixture(scope="module")
def payload(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("payload") / "payload.zip"
    docker_charon.make_payload(registry, path, [NAME], secure=False)
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_without_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Write into a folder that goes away, and ask no name server."""
    monkeypatch.chdir(tmp_path)
    real = socket.getaddrinfo

    def numeric(host: Any, port: Any, family: int = 0, type: int = 0, **more: Any) -> Any:  # noqa: A002  # its name there
        more["flags"] = more.get("flags", 0) | socket.AI_NUMERICHOST
        return real(host, port, family, type, **more)

    monkeypatch.setattr(socket, "getaddrinfo", numeric)


def good(function: str, registry: str, payload: Path) -> dict[str, Any]:
    """Return arguments with which a function does what it should."""
    asking = {"registry": registry, "secure": False}
    arguments: dict[str, dict[str, Any]] = {
        "make_payload": {
            **asking,
            "zip_file": io.BytesIO(),
            "docker_images_to_transfer": [NAME],
        },
        "make_inventory": {**asking, "zip_file": io.BytesIO(), "docker_images": [NAME]},
        "push_payload_to_registry": {**asking, "zip_file": payload},
        "verify_payload": {"zip_file": payload},
        "inspect_payload": {"zip_file": payload},
        "serve": {"payloads": [payload]},
    }
    return arguments[function]


def told(call: Callable[[], object]) -> str | None:
    """Return what a caller is told, by one of the errors that are documented."""
    try:
        call()
    except (DockerCharonError, TypeError) as error:
        return str(error)
    return None


def test_everything_public_that_can_be_called_is_tried() -> None:
    functions = {name for name in docker_charon.__all__ if name.islower()}
    assert set(FUNCTIONS) == functions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_good_arguments_do_no_harm(function: str, registry: str, payload: Path) -> None:
    assert told(lambda: FUNCTIONS[function](**good(function, registry, payload))) is None


@pytest.mark.usefixtures("_one_try")
@pytest.mark.parametrize(("function", "parameter"), PARAMETERS)
def test_an_argument_of_any_kind_is_taken_or_told(
    function: str, parameter: str, registry: str, payload: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no payload, no certificate, no layout")
    with ExitStack() as stack:
        kinds = dict(OF_EVERY_KIND)
        for kind, make in IN_A_FOLDER.items():
            kinds[kind] = make(tmp_path)
            if hasattr(kinds[kind], "close"):
                stack.callback(kinds[kind].close)
        if parameter in LISTS:
            kinds |= {f"a list of {kind}": [value] for kind, value in kinds.items()}
        for kind, value in kinds.items():
            arguments = {**good(function, registry, payload), parameter: value}
            if parameter == "storage":
                del arguments["payloads"]
            if parameter in ("username", "password"):
                arguments = {"username": "me", "password": "secret", **arguments}
            try:
                line = told(lambda arguments=arguments: FUNCTIONS[function](**arguments))  # type: ignore[misc]
            except BaseException as error:
                pytest.fail(f"{function}({parameter}={kind}): {error!r}")
            assert line is None or (line.strip() and line.isprintable()), kind


@pytest.mark.usefixtures("_one_try")
@pytest.mark.parametrize("function", ["make_payload", "make_inventory", "push_payload_to_registry"])
@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    "registry_name",
    [
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "127.0.0.1:1",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "127.0.0.1/v2",
        "127.0.0.1.",
        "[::1]:1",
        "[::::1]",
        "[1.2.3]:5000",
        "[]",
        "::1",
        "999.999.999.999",
        "registry",
        ".".join(["a" * 60] * 5),
        "xn--bcher-kva.example",
        "xn--\ud800",
        "-registry",
    ],
)
def test_a_registry_that_cannot_be_one_or_is_not_there_is_told(
    function: str, secure: bool, registry_name: str, registry: str, payload: Path
) -> None:
    arguments = good(function, registry, payload)
    arguments.update(registry=registry_name, secure=secure)
    with pytest.raises(DockerCharonError) as caught:
        FUNCTIONS[function](**arguments)
    assert isinstance(caught.value, (InvalidReference, docker_charon.ConnectionFailed))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("port", [-1, 65536, 10**30, 1.5])
def test_a_port_out_of_range_is_told(port: Any, payload: Path) -> None:
    with pytest.raises(ServerError, match="cannot listen on"):
        _serve(payloads=[payload], port=port)


@pytest.mark.parametrize("host", ["", "a\0b", "\ud800", ".", "a" * 64, "a." * 200, "b ü"])
def test_a_host_that_is_no_name_is_told_or_means_all(host: str, payload: Path) -> None:
    if host:
        with pytest.raises(ServerError, match="cannot listen on"):
            _serve(payloads=[payload], host=host)
    else:
        _serve(payloads=[payload], host=host)


def test_a_port_that_is_taken_is_told(registry: str, payload: Path) -> None:
    with pytest.raises(ServerError, match=f"cannot listen on {registry}"):
        _serve(payloads=[payload], port=int(registry.rpartition(":")[2]))


def test_a_path_of_undecodable_bytes_is_a_path_as_any_other(registry: str) -> None:
    name = os.fsdecode(b"p\xff.zip")
    docker_charon.make_payload(registry, name, [NAME], secure=False)
    assert docker_charon.verify_payload(name) == []
    with pytest.raises(DockerCharonError) as caught:
        docker_charon.verify_payload(os.fsdecode(b"q\xff.zip"))
    assert str(caught.value).isprintable()
