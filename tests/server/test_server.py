"""The server as a program on a network: its address, its end, and clients that misbehave."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import images
from distribution import Api, refused
from docker_charon import DockerCharonError, PayloadError, ServerError, serve
from docker_charon.server import server
from docker_charon.server.http import connection
from faults.processes import wait_until
from images import digest_of, image, layer


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(storage=tmp_path / "storage") as running:
        yield Api(running.address)


@contextlib.contextmanager
def line_to(api: Api) -> Iterator[socket.socket]:
    """Open a connection on which a test says what it likes."""
    host, _, port = api.address.rpartition(":")
    with socket.create_connection((host, int(port)), 20) as line:
        yield line


def heard(line: socket.socket) -> bytes:
    """Return all that is said until the other side closes."""
    return b"".join(iter(lambda: line.recv(65536), b""))


def said(line: socket.socket, *pieces: bytes) -> bytes:
    """Say something, and return all that is said to it, to the end."""
    for piece in pieces:
        line.sendall(piece)
    return heard(line)


# --- Beginning and end ----------------------------------------------------------------------------


def test_it_listens_on_loopback_and_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(storage=tmp_path / "s") as running:
        assert running.address.startswith("127.0.0.1:")
    assert caplog.text == ""


def test_where_others_can_reach_it_it_warns_once_that_there_is_no_authentication(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(storage=tmp_path / "s", host="0.0.0.0") as running:  # noqa: S104  # that is the point
        address = f"127.0.0.1:{running.address.rpartition(':')[2]}"
        for _ in range(3):
            assert Api(address)("GET", "/v2/").status_code == 200
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "no authentication" in record.message


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_address_of_the_new_kind_is_written_in_brackets(tmp_path: Path, host: str) -> None:
    try:
        with serve(storage=tmp_path / "s", host=host) as running:
            assert running.address.startswith("[::1]:")
            assert Api(running.address)("GET", "/v2/").status_code == 200
    except ServerError as error:
        pytest.skip(str(error))  # not every machine has one


def test_a_port_that_is_taken_is_one_line(api: Api, tmp_path: Path) -> None:
    port = int(api.address.rpartition(":")[2])
    wanted = rf"cannot listen on 127.0.0.1:{port}: .*another host or port"
    with pytest.raises(ServerError, match=wanted), serve(storage=tmp_path / "other", port=port):
        pass


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000)])
def test_an_address_that_is_none_is_one_line(tmp_path: Path, host: str, port: int) -> None:
    served = serve(storage=tmp_path / "s", host=host, port=port)
    with pytest.raises(ServerError, match="cannot listen"), served:
        pass


def test_it_serves_payloads_or_a_directory_and_not_both(tmp_path: Path) -> None:
    for payloads, storage in (((), None), (["p.zip"], tmp_path / "s")):
        served = serve(payloads, storage=storage)
        with pytest.raises(ServerError, match=r"either payloads or .* push-payload"), served:
            pass
    assert not (tmp_path / "s").exists()


def test_what_is_no_payload_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"nothing")
    for path in ("p.zip", "not-there.zip"):
        with pytest.raises(PayloadError, match=path), serve([tmp_path / path]):
            pass
    with pytest.raises(TypeError, match="list"), serve("p.zip"):
        pass


def test_it_ends_with_clients_on_the_line_and_frees_its_port(tmp_path: Path) -> None:
    before = threading.active_count()
    with serve(storage=tmp_path / "s") as running:
        api = Api(running.address)
        assert api("GET", "/v2/").status_code == 200  # kept alive from here on
        with line_to(api) as half:
            half.sendall(
                b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
            started = time.monotonic()
    assert time.monotonic() - started < 60  # far less than a client may take
    assert threading.active_count() <= before  # threads of earlier tests may end meanwhile
    with serve(storage=tmp_path / "s", port=int(running.address.rpartition(":")[2])) as again:
        assert again.address == running.address
    with pytest.raises(requests.ConnectionError):
        api("GET", "/v2/")


def test_an_exception_passes_through(tmp_path: Path) -> None:
    with pytest.raises(DockerCharonError, match="mine"), serve(storage=tmp_path / "s"):
        raise DockerCharonError("mine")


# --- Clients --------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(api: Api) -> None:
    with line_to(api) as line:
        request = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answers = said(line, request * 5 + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    assert answers.count(b"Connection: close") == 1


def test_the_body_of_a_refused_request_is_not_taken_for_the_next_one(api: Api) -> None:
    inner = b"GET /v2/app/tags/list HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with line_to(api) as line:
        refused_one = (
            b"PUT /v2/UPPER/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        )
        answers = said(
            line,
            refused_one % (len(inner), inner),
            b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.index(b"HTTP/1.1 400") < answers.index(b"HTTP/1.1 200")


def test_a_large_body_that_is_refused_ends_the_connection_after_the_answer(api: Api) -> None:
    size = 60_000_000
    with line_to(api) as line:
        head = (
            b"PUT /v2/UPPER/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        )
        answer = said(line, head % size, bytes(size))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"NAME_INVALID" in answer
    assert b"Connection: close" in answer


def test_a_manifest_that_is_too_large_is_refused_before_it_is_read(api: Api) -> None:
    with line_to(api) as line:
        line.sendall(
            b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 99999999\r\n\r\n"
        )
        assert line.recv(20).startswith(b"HTTP/1.1 413")


def test_a_client_that_asks_first_is_told_to_go_on(api: Api) -> None:
    content = b"x" * 100
    path = f"/v2/app/blobs/uploads/?digest={digest_of(content)}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    head += "Expect: 100-continue\r\n"
    with line_to(api) as line:
        line.sendall(f"{head}Connection: close\r\n\r\n".encode())
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert said(line, content).startswith(b"HTTP/1.1 201")


def test_a_client_that_asks_first_is_told_no_at_once(api: Api) -> None:
    with line_to(api) as line:
        line.sendall(
            b"PUT /v2/app/manifests/.x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: 100\r\n\r\n"
        )
        line.shutdown(socket.SHUT_WR)
        answer = heard(line)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Connection: close" in answer


def test_a_client_that_says_nothing_more_is_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    for begin in (
        b"",
        b"GET /v2/",
        b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ):
        with line_to(api) as line:
            line.sendall(begin)
            assert heard(line) == b""


def test_a_client_that_dribbles_its_head_is_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.3)
    with line_to(api) as line, contextlib.suppress(ConnectionError):
        line.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(3000):
            line.sendall(b"X: y\r\n")
            time.sleep(0.02)
        pytest.fail("it has waited for all of it")


def test_a_client_that_takes_nothing_is_left(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    digest = api.blob(bytes(30_000_000))
    monkeypatch.setattr(connection, "TIMEOUT", 0.3)
    caplog.set_level(logging.DEBUG, logger=connection.__name__)
    with line_to(api) as line:
        line.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        names = [connection.__name__] * 2  # of the request, and of the end of the connection
        wait_until(lambda: [record.name for record in caplog.records] == names)
        assert len(heard(line)) < 30_000_000


def test_an_upload_that_breaks_off_leaves_nothing(api: Api, tmp_path: Path) -> None:
    uploads = tmp_path / "storage" / ".docker-charon" / "uploads"
    for length in (b"Content-Length: 100000\r\n", b"Transfer-Encoding: chunked\r\n"):
        with line_to(api) as line:
            digest = digest_of(b"x")
            path = f"/v2/app/blobs/uploads/?digest={digest}"
            line.sendall(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
                + length
                + b"\r\n20000\r\nxxxxxx"
            )
    wait_until(lambda: not list(uploads.iterdir()))
    assert not list((tmp_path / "storage" / "blobs" / "sha256").iterdir())


def test_a_piece_that_breaks_off_can_be_gone_on_with(api: Api) -> None:
    content = images.random_bytes(1, 1000)
    location = api.start()
    with line_to(api) as line:
        head = f"PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        line.sendall(head.encode() + content[:300])
    wait_until(lambda: api("GET", location).headers["Range"] == "0-299")
    answer = api("PATCH", location, content[300:], Content_Range="300-999")
    assert answer.status_code == 202
    assert api("PUT", f"{location}?digest={digest_of(content)}").status_code == 201


def test_a_last_piece_that_breaks_off_is_as_if_it_had_never_begun(api: Api) -> None:
    content = images.random_bytes(1, 1000)
    location = api.start()
    path = f"{location}?digest={digest_of(content)}"
    with line_to(api) as line:
        head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        line.sendall(head.encode() + content[:300])
    assert api("GET", location).headers["Range"] == "0-0"
    assert api("PUT", path, content).status_code == 201


def test_32_clients_at_once_get_what_they_want(api: Api) -> None:
    def client(number: int) -> bool:
        own = image(layer(1, 50_000), layer(number, 50_000))
        name = f"app{number % 4}:{number}"
        images.put(api.address, name, own)
        return images.read(api.address, name) == own.contents()

    with ThreadPoolExecutor(32) as clients:
        assert all(clients.map(client, range(32)))
    assert len(api("GET", "app1/tags/list").json()["tags"]) == 8


def hold(stack: contextlib.ExitStack, api: Api) -> socket.socket:
    """Open a connection with a request whose body does not come, and wait until it is read."""
    line = stack.enter_context(line_to(api))
    line.sendall(
        b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Content-Length: 9\r\n\r\n"
    )
    assert line.recv(100).startswith(b"HTTP/1.1 100")
    return line


def test_too_many_busy_clients_are_sent_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            hold(stack, api)
        answer = requests.get(api.root, timeout=20)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_the_connection_that_is_idle_for_longest_gives_way(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        busy = hold(stack, api)
        idle = stack.enter_context(line_to(api))
        idle.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        begun = stack.enter_context(line_to(api))
        begun.sendall(b"GET /v2/")

        def gets_in() -> bool:
            newer = stack.enter_context(line_to(api))
            with contextlib.suppress(ConnectionError):
                newer.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return newer.recv(100).startswith(b"HTTP/1.1 200")
            return False

        for _ in range(2):
            wait_until(gets_in)  # a client that has just got its answer is not idle yet
        heard(idle)
        assert heard(begun) == b""
        busy.sendall(b"x" * 9)
        assert busy.recv(100).startswith(b"HTTP/1.1 400")


def test_a_client_that_dribbles_its_body_is_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", 0.3)
    with line_to(api) as line, contextlib.suppress(ConnectionError):
        line.sendall(
            b"PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
        )
        for _ in range(3000):
            line.sendall(b"x")
            time.sleep(0.02)
        pytest.fail("it has waited for all of it")


def test_a_client_that_reads_slowly_but_steadily_gets_everything(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(3_000_000)
    digest = api.blob(content)
    monkeypatch.setattr(connection, "TIMEOUT", 1.0)
    with line_to(api) as line:
        line.sendall(
            f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        received = b""
        while chunk := line.recv(50_000):
            received += chunk
            time.sleep(0.03)
    assert received.endswith(content)


def test_without_file_descriptors_it_says_so_once_and_goes_on(tmp_path: Path) -> None:
    """In a process of its own, which may have few descriptors."""
    pytest.importorskip("resource")
    arguments = ["docker-charon", "serve", "--storage", str(tmp_path / "s"), "--port", "0"]
    program = (
        "import resource, sys; from docker_charon.cli.program import main;"
        "from docker_charon.server import server; server._WARNING_INTERVAL = 1e9;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); sys.argv = {arguments}; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    api = Api(process.stdout.readline().strip())
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(line_to(api))
        answer = requests.get(api.root, timeout=60)  # idle connections give way
        assert answer.status_code == 200
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stderr.count("no connections are accepted for now") == 1


# --- Web pages ------------------------------------------------------------------------------------


def request_with(api: Api, method: str = "GET", **headers: str) -> requests.Response:
    return api(method, "/v2/", **headers)


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "LOCALHOST.", "127.0.0.1"])
def test_a_loopback_server_answers_to_its_own_names(api: Api, host: str) -> None:
    assert request_with(api, Host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1]", "10.0.0.1"])
def test_a_loopback_server_refuses_other_hosts(api: Api, host: str) -> None:
    answer = request_with(api, Host=host)
    assert refused(answer, 403, "DENIED")
    assert "allow_hosts=" in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "", "http://127.0.0.1"]
)
def test_a_loopback_server_refuses_pages_of_other_sites(api: Api, origin: str) -> None:
    answer = api("POST", "app/blobs/uploads/", Origin=origin)
    assert refused(answer, 403, "DENIED")
    assert api("POST", "app/blobs/uploads/", Origin=f"http://{api.address}").status_code == 202


def test_hosts_can_be_allowed(tmp_path: Path) -> None:
    allowed = ["registry.example", "fe80::1"]
    with serve(storage=tmp_path / "s", allow_hosts=allowed) as running:
        api = Api(running.address)
        for host in ("registry.example", "Registry.Example:443", "[fe80::1]:5000", api.address):
            assert request_with(api, Host=host).status_code == 200
        page = {"Host": "registry.example", "Origin": "https://registry.example"}
        assert request_with(api, **page).status_code == 200
        assert request_with(api, Host="other.example").status_code == 403
    served = serve(storage=tmp_path / "s", allow_hosts=["http://registry.example"])
    with pytest.raises(ServerError, match="is not the name of a host; write it without"), served:
        pass


def test_a_server_for_others_answers_to_every_host_unless_some_are_named(tmp_path: Path) -> None:
    for names, status in (((), 200), (("registry.example",), 403)):
        with serve(storage=tmp_path / "s", host="0.0.0.0", allow_hosts=names) as running:  # noqa: S104  # that is the point
            api = Api(f"127.0.0.1:{running.address.rpartition(':')[2]}")
            assert request_with(api, Host="other.example").status_code == status


def test_a_full_disk_is_an_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("docker_charon.server.layouts.layout.flush", full)
    answer = api("POST", f"app/blobs/uploads/?digest={digest_of(b'x')}", b"x")
    assert refused(answer, 507, "UNKNOWN")
    assert "No space left" in answer.text
