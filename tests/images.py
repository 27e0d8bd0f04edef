"""Images for tests, put into and read from registries with nothing but `requests`."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER_TYPES = {
    OCI: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
CONFIG_TYPES = {
    OCI: "application/vnd.oci.image.config.v1+json",
    DOCKER: "application/vnd.docker.container.image.v1+json",
}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def random_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # repeatable on purpose


@functools.lru_cache(maxsize=64)
def layer(seed: int, size: int = 2000) -> bytes:
    """Return a layer as clients accept one: a compressed tar, if only an empty one, and some more.

    What follows the end of an archive is not looked at, so the bytes are there for their number.
    """
    return gzip.compress(bytes(1024), mtime=0) + gzip.compress(
        bytes(512) + random_bytes(seed, size), mtime=0
    )


@dataclass
class TestImage:
    """A manifest, or an index, with everything below it."""

    __test__ = False

    manifest: bytes
    media_type: str
    blobs: list[bytes] = field(default_factory=list)
    children: list[TestImage] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def descriptor(self) -> dict[str, Any]:
        return descriptor(self.media_type, self.manifest)

    def contents(self) -> dict[str, bytes]:
        """Return everything by digest."""
        found = {self.digest: self.manifest}
        found.update((digest_of(blob), blob) for blob in self.blobs)
        for child in self.children:
            found.update(child.contents())
        return found


def descriptor(media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def image(
    *layers: bytes, media_type: str = DOCKER, platform: str = "linux/amd64", **more: Any
) -> TestImage:
    """Build an image of these layers; ``more`` are further members of its manifest."""
    config = json.dumps(
        {
            **platform_members(platform),
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [digest_of(gzip.decompress(x) if x else b"") for x in layers],
            },
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(CONFIG_TYPES[media_type], config),
        "layers": [descriptor(LAYER_TYPES[media_type], content) for content in layers],
        **more,
    }
    # Not how we would write it: whoever parses and writes it again changes its digest.
    content = json.dumps(manifest, indent=3).encode()
    return TestImage(content, media_type, [config, *layers])


def artifact(*layers: bytes, **more: Any) -> TestImage:
    """Build an artifact as OCI image-spec 1.1 recommends: an empty config and a type."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": "application/vnd.example.thing",
        "config": descriptor(EMPTY, b"{}", data="e30="),
        "layers": [descriptor("application/vnd.example.part", content) for content in layers],
        **more,
    }
    return TestImage(json.dumps(manifest).encode(), OCI, [b"{}", *layers])


def platform_members(platform: str) -> dict[str, str]:
    """Return what a descriptor or a config says of a platform."""
    keys = ("architecture", "os", "variant")
    system, architecture, *variant = platform.split("/")
    return dict(zip(keys, (architecture, system, *variant), strict=False))


def index_of(
    children: Mapping[str, TestImage], *attested: str, media_type: str = OCI_INDEX, **more: Any
) -> TestImage:
    """Build an index of images by platform, with attestations about those that are ``attested``."""
    entries = [
        {**child.descriptor, "platform": platform_members(platform)}
        for platform, child in children.items()
    ]
    attestations = {platform: attestation(children[platform]) for platform in attested}
    for platform, child in attestations.items():
        about = {
            "vnd.docker.reference.digest": children[platform].digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }
        unknown = {"architecture": "unknown", "os": "unknown"}
        entries.append({**child.descriptor, "annotations": about, "platform": unknown})
    manifest = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **more}
    below = [*children.values(), *attestations.values()]
    return TestImage(json.dumps(manifest, indent=1).encode(), media_type, [], below)


def attestation(subject: TestImage) -> TestImage:
    """Build a provenance attestation as BuildKit does: an image of one in-toto statement."""
    statement = json.dumps({"_type": "in-toto", "subject": subject.digest}).encode()
    config = json.dumps({"architecture": "unknown", "os": "unknown", "config": {}}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(CONFIG_TYPES[OCI], config),
        "layers": [descriptor("application/vnd.in-toto+json", statement)],
    }
    return TestImage(json.dumps(manifest).encode(), OCI, [config, statement])


def signature(subject: TestImage) -> TestImage:
    """Build a signature as cosign's tags hold one: no ``subject``, the tag tells."""
    payload = json.dumps({"critical": {"image": {"docker-manifest-digest": subject.digest}}})
    config = json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers"}}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(CONFIG_TYPES[OCI], config),
        "layers": [
            descriptor(
                "application/vnd.dev.cosign.simplesigning.v1+json",
                payload.encode(),
                annotations={"dev.cosignproject.cosign/signature": "MEUCIQ"},
            )
        ],
    }
    return TestImage(json.dumps(manifest).encode(), OCI, [config, payload.encode()])


def tag_of(subject: TestImage, suffix: str = "") -> str:
    """Return the tag of what refers to an image: cosign's with a suffix, else the spec's."""
    return subject.digest.replace(":", "-") + suffix


def refer(registry: str, repository: str, subject: TestImage, *referrers: TestImage) -> None:
    """Put artifacts about a subject, as a client does where there is no referrers API."""
    for one in referrers:
        put(registry, f"{repository}:{one.digest}", one)
    entries = [{**one.descriptor, "artifactType": "application/example"} for one in referrers]
    listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    content = json.dumps(listed).encode()
    put(registry, f"{repository}:{tag_of(subject)}", TestImage(content, OCI_INDEX))


def index(*children: TestImage, media_type: str = OCI_INDEX, **more: Any) -> TestImage:
    """Build an index of these images, each for a platform of its own."""
    platforms = [
        {"os": "linux", "architecture": a} for a in ("amd64", "arm64", "s390x", "ppc64le", "386")
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [
            {**child.descriptor, "platform": platform}
            for child, platform in zip(children, platforms, strict=False)
        ],
        **more,
    }
    return TestImage(json.dumps(manifest, indent=1).encode(), media_type, [], list(children))


def _session() -> requests.Session:
    """Return a session that looks for proxies and logins nowhere, which takes much of its time."""
    session = requests.Session()
    session.trust_env = False
    return session


def put_blob(registry: str, repository: str, content: bytes) -> None:
    with _session() as session:
        _put_blob(session, registry, repository, content)


def _put_blob(session: requests.Session, registry: str, repository: str, content: bytes) -> None:
    started = session.post(f"http://{registry}/v2/{repository}/blobs/uploads/", timeout=60)
    started.raise_for_status()
    session.put(
        urljoin(started.url, started.headers["Location"]),
        params={"digest": digest_of(content)},
        data=content,
        headers={"Content-Type": "application/octet-stream"},
        timeout=60,
    ).raise_for_status()


def put(registry: str, name: str, wanted: TestImage) -> TestImage:
    """Put an image and all below it into a registry as ``repository:tag``; return it."""
    with _session() as session:
        _put(session, registry, name, wanted)
    return wanted


def _put(session: requests.Session, registry: str, name: str, wanted: TestImage) -> None:
    repository, _, tag = name.partition(":")
    for content in wanted.blobs:
        _put_blob(session, registry, repository, content)
    for child in wanted.children:
        _put(session, registry, f"{repository}:{child.digest}", child)
    session.put(
        f"http://{registry}/v2/{repository}/manifests/{tag or 'latest'}",
        data=wanted.manifest,
        headers={"Content-Type": wanted.media_type},
        timeout=60,
    ).raise_for_status()


def read_manifest(registry: str, repository: str, reference: str) -> bytes | None:
    """Return a manifest's bytes, or ``None`` when the registry has none of that name."""
    with _session() as session:
        return _get(session, f"http://{registry}/v2/{repository}/manifests/{reference}")


def read_blob(registry: str, repository: str, digest: str) -> bytes | None:
    with _session() as session:
        return _get(session, f"http://{registry}/v2/{repository}/blobs/{digest}")


def _get(session: requests.Session, url: str) -> bytes | None:
    """Return the body of an answer, or ``None`` if it is 404."""
    accept = ", ".join((OCI, OCI_INDEX, DOCKER, DOCKER_LIST))
    answer = session.get(url, headers={"Accept": accept}, timeout=60)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.content


def read(registry: str, name: str) -> dict[str, bytes] | None:
    """Return all of an image by digest, or ``None`` when the registry has no such name.

    A part that is not there is missing in the answer too.
    """
    with _session() as session:
        return _read(session, registry, name)


def _read(session: requests.Session, registry: str, name: str) -> dict[str, bytes] | None:
    repository, _, reference = name.partition(":")
    root = f"http://{registry}/v2/{repository}"
    content = _get(session, f"{root}/manifests/{reference or 'latest'}")
    if content is None:
        return None
    found = {digest_of(content): content}
    document = json.loads(content)
    for child in document.get("manifests", ()):
        found.update(_read(session, registry, f"{repository}:{child['digest']}") or {})
    blobs = [document["config"], *document["layers"]] if "config" in document else []
    for blob in blobs:
        stored = _get(session, f"{root}/blobs/{blob['digest']}")
        if stored is not None:
            found[blob["digest"]] = stored
    return found


def delete_blob(registry: str, repository: str, digest: str) -> None:
    requests.delete(
        f"http://{registry}/v2/{repository}/blobs/{digest}", timeout=20
    ).raise_for_status()


def delete_manifest(registry: str, repository: str, digest: str) -> None:
    requests.delete(
        f"http://{registry}/v2/{repository}/manifests/{digest}", timeout=20
    ).raise_for_status()
