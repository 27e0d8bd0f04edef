"""Names of images and of registries: any text."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from docker_charon.digest import Digest
from docker_charon.errors import DockerCharonError
from docker_charon.reference import Reference
from docker_charon.transport import check_host
from fuzz.documents import texts
from fuzz.promise import kept

near = st.lists(
    st.one_of(
        st.sampled_from(
            ["app", "lib", "/", ":", "@", ".", "_", "__", "-", "--", "..", "\n", " ", "A", "é", "²"]
        ),
        st.sampled_from(["latest", "1.0", "a" * 128, "a" * 129, "a" * 255, "sha256:", "0" * 64]),
        st.sampled_from(["sha512:", "0" * 128, "localhost:5000", "https://", "%2e", "\ud800"]),
        texts,
    ),
    max_size=10,
).map("".join)


@given(near)
def test_a_name_is_an_image_or_is_refused(name: str) -> None:
    found = kept(lambda: Reference.parse(name))
    if isinstance(found, DockerCharonError):
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9._/-]{0,254}", found.repository)
    assert not re.search(r"\.\.|//|/$", found.repository)
    assert found.tag is None or re.fullmatch(r"\w[\w.-]{0,127}", found.tag, re.ASCII)
    tag = "" if found.tag is None else f":{found.tag}"
    digest = "" if found.digest is None else f"@{found.digest}"
    assert f"{found.repository}{tag}{digest}" in (name, f"{name}:latest")


@given(near | st.none() | st.integers() | st.lists(texts))
def test_a_digest_is_one_or_is_refused(text: object) -> None:
    found = kept(lambda: Digest(text))
    if not isinstance(found, DockerCharonError):
        assert found == text
        assert re.fullmatch(r"sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})", found)


@given(near)
@example("registry:" + "9" * 5000)
@example("[::1]:" + "9" * 5000)
def test_a_registry_is_one_or_is_refused(name: str) -> None:
    found = kept(lambda: check_host(name))
    if not isinstance(found, DockerCharonError):
        assert found == name
        assert not re.search(r"[\s/@?#\\]", found)
