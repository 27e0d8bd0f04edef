"""Docker's config: credentials that can be sent, or none, and one line for each problem."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_charon.registry.credentials import FoundLogin, Keychain
from fuzz.json_values import members, mostly, scalars, values, written
from fuzz.line import is_line

REGISTRY = "registry.example:5000"
hosts = st.sampled_from(
    [REGISTRY, f"{REGISTRY}/team", f"https://{REGISTRY}/v1/", "other.example", "docker.io", ""]
)
encoded = st.text(max_size=12).map(
    lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
) | st.sampled_from(["dTpw", "dTo=", "OnA=", "dQ==", "====", "é"])
entries = members(
    auth=mostly(encoded),
    username=scalars,
    password=scalars,
    identitytoken=scalars,
    registrytoken=scalars,
)
configs = members(
    auths=st.dictionaries(hosts, entries, max_size=3),
    credHelpers=st.dictionaries(hosts, scalars, max_size=2),
    credsStore=scalars,
)


@pytest.fixture(autouse=True)
def _no_helpers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the programs that a made-up name may mean from being run."""
    monkeypatch.setenv("PATH", str(tmp_path))


@given(written(configs | values) | st.binary(max_size=40))
def test_a_config_gives_credentials_that_can_be_sent_or_is_told(
    tmp_path: Path, content: bytes
) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOCKER_CONFIG", str(tmp_path))
        check(Keychain(REGISTRY).find("team/app"))


def check(found: FoundLogin) -> None:
    assert all(map(is_line, found.problems))
    credentials = found.credentials
    if credentials is not None:
        assert credentials.basic.isascii()
        assert credentials.basic.isprintable()
        assert (credentials.identity_token or "").encode() is not None
        assert (credentials.registry_token or "").isascii()
        shown = repr(replace(credentials, username=""))
        assert credentials.password not in shown or len(credentials.password) < 20


@given(written(members(Username=scalars, Secret=scalars) | values) | st.binary(max_size=40))
def test_a_helper_gives_credentials_that_can_be_sent_or_is_told(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "answer").write_bytes(content)
    helper = tmp_path / "docker-credential-x"
    if not helper.exists():
        helper.write_text(f"#!/bin/sh\nexec /bin/cat '{tmp_path}/answer'\n")
        helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "x"}')
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOCKER_CONFIG", str(tmp_path))
        check(Keychain(REGISTRY).find())


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"auths":' * 100_000, b'{"a":' + b"9" * 9999]
)
def test_a_hard_config_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (problem,) = Keychain(REGISTRY).find().problems
    assert str(tmp_path / "config.json") in problem
