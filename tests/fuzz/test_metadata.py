"""The documents of a payload with arbitrary values, in a valid zip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_charon.payload.format.index import REF_NAME
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH
from fuzz.examination import examine
from fuzz.json_values import digests, manifests, members, mostly, scalars, values, whole, written
from fuzz.mutation import APP, BASE, BOTH
from images import TestImage, digest_of
from payloads import payload_of, zipped

CONTENT = {**APP.contents(), **BASE.contents(), **BOTH.contents()}
ENTRIES = {f"blobs/{digest.replace(':', '/')}": content for digest, content in CONTENT.items()}
names = mostly(st.sampled_from(["app:1", "app", "base:1", "lib/both", f"app@{APP.digest}"]))
known = st.sampled_from(sorted(CONTENT))
paths = st.sampled_from([*sorted(ENTRIES), DESCRIPTOR_PATH, INDEX_PATH, "", "..", "extra"])
roots = st.sampled_from([APP, BASE, BOTH]).map(lambda one: one.descriptor)


def keyed(key: st.SearchStrategy[Any], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(key.map(str), value, max_size=4)


places = members(zip_path=mostly(paths)) | members(
    repository=mostly(st.sampled_from(["app", "base"])), repositories=st.lists(scalars, max_size=2)
)
named_paths = keyed(names, mostly(st.none() | paths))
descriptors = (
    members(
        format_version=st.just(1),
        manifests_paths=named_paths,
        blobs_paths=keyed(known | digests, places),
    )
    | named_paths
    | values
)
indexes = whole(
    schemaVersion=st.just(2),
    manifests=st.lists(
        st.builds(
            lambda root, name: {**root, "annotations": {REF_NAME: name}}, roots, mostly(names)
        ),
        max_size=4,
    ),
)


@given(written(descriptors), written(indexes | values), written(manifests | values))
def test_documents_are_refused_or_lead_to_whole_images(
    descriptor: bytes, index: bytes, extra: bytes
) -> None:
    path = f"blobs/{digest_of(extra).replace(':', '/')}"
    content = zipped(
        {INDEX_PATH: index, DESCRIPTOR_PATH: descriptor, "extra": extra, path: extra, **ENTRIES}
    )
    examine(content, {"base:1": BASE})


@given(st.data())
def test_documents_that_agree_are_refused_or_lead_to_whole_images(data: st.DataObject) -> None:
    """The index and the descriptor name the same images; what they say of them is anything."""
    chosen = data.draw(
        st.dictionaries(
            st.sampled_from(
                ["app:1", "app:2", "base:1", "lib/both", "x@" + BASE.digest, "UP", "a//b"]
            ),
            st.tuples(st.sampled_from([APP, BASE, BOTH]), st.booleans()),
        )
    )
    index = {
        "manifests": [
            {**one.descriptor, "annotations": {REF_NAME: name}} for name, (one, _) in chosen.items()
        ]
    }
    descriptor = {
        "format_version": 1,
        "manifests_paths": {
            name: None if skipped else "blobs/" + one.digest.replace(":", "/")
            for name, (one, skipped) in chosen.items()
        },
        "blobs_paths": {
            digest: data.draw(mostly(places))
            if data.draw(st.integers(0, 9)) == 0
            else {"zip_path": path}
            for digest, path in zip(CONTENT, ENTRIES, strict=True)
        },
    }
    content = zipped(
        {
            INDEX_PATH: json.dumps(index).encode(),
            DESCRIPTOR_PATH: json.dumps(descriptor).encode(),
            **ENTRIES,
        }
    )
    examine(content, {"base:1": BASE}, {one.manifest for one in (APP, BASE, BOTH)})


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_platform_in_any_script_is_printed_where_little_can_be(
    tmp_path: Path, encoding: str, option: list[str]
) -> None:
    document = json.loads(BOTH.manifest)
    document["manifests"][0]["platform"] = {"os": "lin\u00fc\ud800\u0661", "architecture": "\u4e00"}
    odd = TestImage(json.dumps(document).encode(), BOTH.media_type, [], BOTH.children)
    path = tmp_path / "payload.zip"
    path.write_bytes(payload_of({"app:1": odd}))
    done = subprocess.run(
        [sys.executable, "-m", "docker_charon", "inspect-payload", *option, "-f", str(path)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"app:1" in done.stdout
