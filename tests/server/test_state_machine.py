"""The embedded registry against a plain model: any order of requests has the answers of the model.

The model is a few dictionaries. Every step sends a request, changes the model, and compares.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

import images
from distribution import UNKNOWN, Api, refused
from docker_charon import serve
from images import digest_of

REPOSITORIES = ("app", "app/tool")
CONTENTS = (b"", b"a", b"some content", b"other content" * 10, bytes(range(256)))
TAGS = ("1", "2", "latest")
DATA = st.binary(max_size=20)
repositories = st.sampled_from(REPOSITORIES)
contents = st.sampled_from(CONTENTS)
tags = st.sampled_from(TAGS)


class ModelRepository:
    """What one repository should have."""

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.blobs: set[str] = set()


class ModelUpload:
    """What one upload should have; ``content`` is ``None`` after its end."""

    def __init__(self, repository: str, location: str) -> None:
        self.repository = repository
        self.location = location
        self.content: bytes | None = b""


class Registry(RuleBasedStateMachine):
    """Requests to a registry with a storage directory, each compared with the model."""

    uploads = Bundle("uploads")
    manifests = Bundle("manifests")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="docker-charon-state-"))
        self.repositories = {name: ModelRepository() for name in REPOSITORIES}
        self.pool: dict[str, bytes] = {}
        """The blobs that some repository has, and that therefore can be referred to."""
        self.open_uploads: list[ModelUpload] = []
        self.start()

    def start(self) -> None:
        self.server = contextlib.ExitStack()
        self.server.enter_context(mock.patch("os.fsync"))  # nothing here is about power failures
        running = self.server.enter_context(serve(storage=self.folder / "storage"))
        self.api = Api(running.address)

    def teardown(self) -> None:
        self.restart()
        self.api.session.close()
        self.server.close()
        shutil.rmtree(self.folder)

    @initialize()
    def push_most_blobs(self) -> None:
        for content in CONTENTS[1:]:
            self.push_blob("app", content)

    def stored(self, repository: str, content: bytes) -> None:
        self.pool[digest_of(content)] = content
        self.repositories[repository].blobs.add(digest_of(content))

    # --- Uploads ----------------------------------------------------------------------------------

    @rule(repository=repositories, content=contents)
    def push_blob(self, repository: str, content: bytes) -> None:
        path = f"{repository}/blobs/uploads/?digest={digest_of(content)}"
        assert self.api("POST", path, content).status_code == 201
        self.stored(repository, content)

    @rule(target=uploads, repository=repositories)
    def begin(self, repository: str) -> ModelUpload:
        upload = ModelUpload(repository, self.api.start(repository))
        self.open_uploads.append(upload)
        return upload

    def check_progress(self, upload: ModelUpload, headers: Any) -> None:
        assert upload.content is not None
        assert headers["Location"] == upload.location
        assert headers["Range"] == f"0-{max(0, len(upload.content) - 1)}"

    @rule(upload=uploads)
    def ask_for_the_progress(self, upload: ModelUpload) -> None:
        answer = self.api("GET", upload.location)
        if upload.content is None:
            assert refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")
        else:
            assert answer.status_code == 204
            self.check_progress(upload, answer.headers)

    @rule(upload=uploads, data=DATA.filter(bool), offset=st.sampled_from([None, 0, 0, -1, 1]))
    def append(self, upload: ModelUpload, data: bytes, offset: int | None) -> None:
        """Send a chunk: without an offset, at the right one, or before or after it."""
        headers = {}
        if offset is not None:
            start = max(0, len(upload.content or b"") + offset)
            headers["Content_Range"] = f"{start}-{start + len(data) - 1}"
        answer = self.api("PATCH", upload.location, data, **headers)
        if upload.content is None:
            assert refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")
            return
        if offset is None or start == len(upload.content):
            assert answer.status_code == 202
            upload.content += data
        else:
            assert refused(answer, 416, "BLOB_UPLOAD_INVALID")
        self.check_progress(upload, answer.headers)

    @rule(upload=consumes(uploads), data=DATA, right=st.booleans())
    def finish(self, upload: ModelUpload, data: bytes, *, right: bool) -> None:
        content = (upload.content or b"") + data
        digest = digest_of(content) if right else UNKNOWN
        answer = self.api("PUT", f"{upload.location}?digest={digest}", data)
        if upload.content is None:
            assert refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")
        elif right:
            assert answer.status_code == 201
            self.stored(upload.repository, content)
        else:
            assert refused(answer, 400, "DIGEST_INVALID")
        self.end(upload)
        assert self.api("GET", upload.location).status_code == 404

    @rule(upload=uploads)
    def cancel(self, upload: ModelUpload) -> None:
        answer = self.api("DELETE", upload.location)
        if upload.content is None:
            assert refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")
        else:
            assert answer.status_code == 204
        self.end(upload)

    def end(self, upload: ModelUpload) -> None:
        upload.content = None
        if upload in self.open_uploads:
            self.open_uploads.remove(upload)

    @rule(source=st.none() | repositories, repository=repositories, content=contents)
    def mount(self, source: str | None, repository: str, content: bytes) -> None:
        digest = digest_of(content)
        query = f"mount={digest}" + (f"&from={source}" if source else "")
        answer = self.api("POST", f"{repository}/blobs/uploads/?{query}")
        if digest in (self.pool if source is None else self.repositories[source].blobs):
            assert answer.status_code == 201
            self.stored(repository, content)
        else:
            assert answer.status_code == 202
            assert self.api("DELETE", answer.headers["Location"]).status_code == 204

    # --- Manifests --------------------------------------------------------------------------------

    @rule(
        target=manifests,
        repository=repositories,
        tag=st.sampled_from([None, *reversed(TAGS)]),
        blobs=st.lists(contents, min_size=1, max_size=3),
        subject=st.none() | manifests,
    )
    def push_new_manifest(
        self, repository: str, tag: str | None, blobs: list[bytes], subject: bytes | None
    ) -> bytes:
        config, *layers = [images.descriptor("application/vnd.example", blob) for blob in blobs]
        value: dict[str, Any] = {"schemaVersion": 2, "mediaType": images.OCI}
        value |= {"config": config, "layers": layers}
        if subject is not None:
            value["subject"] = images.descriptor(images.OCI, subject)
        content = json.dumps(value).encode()
        self.put_manifest(repository, content, tag)
        return content

    @rule(repository=repositories, content=manifests, tag=st.sampled_from([None, *reversed(TAGS)]))
    def put_manifest(self, repository: str, content: bytes, tag: str | None) -> None:
        digest = digest_of(content)
        answer = self.api.manifest(tag or digest, content, repository=repository)
        value = json.loads(content)
        blobs = {item["digest"] for item in (value["config"], *value["layers"])}
        model = self.repositories[repository]
        if not blobs <= self.pool.keys():
            assert refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")
            return
        assert answer.status_code == 201
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers.get("OCI-Subject") == value.get("subject", {}).get("digest")
        model.manifests[digest] = content
        model.blobs |= blobs
        self.pool[digest] = content  # a manifest's file is in the same folder as the blobs
        if tag is not None:
            model.tags[tag] = digest

    @rule(repository=repositories, content=manifests, tag=tags)
    def put_another_digest(self, repository: str, content: bytes, tag: str) -> None:
        answer = self.api.manifest(f"{tag}?digest={UNKNOWN}", content, repository=repository)
        assert refused(answer, 400, "DIGEST_INVALID")

    # --- What the registry has --------------------------------------------------------------------

    @rule(repository=repositories, content=contents)
    def pull_blob(self, repository: str, content: bytes) -> None:
        answer = self.api("GET", f"{repository}/blobs/{digest_of(content)}")
        if digest_of(content) in self.repositories[repository].blobs:
            assert (answer.status_code, answer.content) == (200, content)
        else:
            assert refused(answer, 404, "BLOB_UNKNOWN")

    @rule(repository=repositories, content=manifests)
    def pull_manifest(self, repository: str, content: bytes) -> None:
        answer = self.api("GET", f"{repository}/manifests/{digest_of(content)}")
        if digest_of(content) in self.repositories[repository].manifests:
            assert (answer.status_code, answer.content) == (200, content)
        else:
            assert answer.status_code == 404

    @rule(repository=repositories, content=manifests)
    def list_referrers(self, repository: str, content: bytes) -> None:
        subject = digest_of(content)
        answer = self.api("GET", f"{repository}/referrers/{subject}")
        assert {item["digest"] for item in answer.json()["manifests"]} == {
            digest
            for digest, manifest in self.repositories[repository].manifests.items()
            if json.loads(manifest).get("subject", {}).get("digest") == subject
        }

    def pages(self, path: str, key: str, size: int) -> list[str]:
        """Return a list that is asked for in pages of ``size`` names."""
        names: list[str] = []
        url: str | None = f"{path}?n={size}"
        while url is not None:
            answer = self.api("GET", url)
            page = answer.json()[key]
            assert len(page) <= size
            names += page
            url = answer.links.get("next", {}).get("url")
        return names

    @rule(size=st.integers(1, 4))
    def list_repositories(self, size: int) -> None:
        expected = sorted(name for name, model in self.repositories.items() if model.manifests)
        assert self.pages("_catalog", "repositories", size) == expected

    @rule(repository=repositories, size=st.integers(1, 4))
    def list_tags(self, repository: str, size: int) -> None:
        model = self.repositories[repository]
        if not model.manifests:
            assert refused(self.api("GET", f"{repository}/tags/list"), 404, "NAME_UNKNOWN")
        else:
            assert self.pages(f"{repository}/tags/list", "tags", size) == sorted(model.tags)
        for tag, digest in model.tags.items():
            answer = self.api("HEAD", f"{repository}/manifests/{tag}")
            assert answer.headers["Docker-Content-Digest"] == digest

    @rule()
    def restart(self) -> None:
        """End the server and start it again: uploads end, and blobs of no manifest need a mount."""
        self.api.session.close()
        self.server.close()
        self.start()
        for upload in list(self.open_uploads):
            self.end(upload)
        for model in self.repositories.values():
            values = map(json.loads, model.manifests.values())
            model.blobs = {
                item["digest"] for value in values for item in (value["config"], *value["layers"])
            }
        for name, model in self.repositories.items():
            for content in model.manifests.values():
                self.pull_manifest(name, content)
            self.list_tags(name, len(TAGS) + 1)

    @invariant()
    def the_directory_holds_what_it_should(self) -> None:
        storage = self.folder / "storage"
        files = {f"sha256:{path.name}" for path in (storage / "blobs" / "sha256").iterdir()}
        assert files == self.pool.keys()
        assert len(list((storage / ".docker-charon" / "uploads").iterdir())) == len(
            self.open_uploads
        )


TestRegistry = Registry.TestCase
Registry.TestCase.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,  # how long an example takes depends on the machine
    max_examples=10,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
)
