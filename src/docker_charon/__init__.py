"""Transfer Docker images to an air-gapped system efficiently.

`make_payload` reads a registry and writes one zip with what the other side lacks;
`push_payload_to_registry` puts it into the registry there.
"""

from docker_charon.errors import (
    AuthenticationError,
    BlobNotFound,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    InvalidDigest,
    InvalidManifest,
    InvalidReference,
    ManifestNotFound,
    PayloadError,
    RegistryError,
)
from docker_charon.make import make_payload
from docker_charon.push import push_payload_to_registry

__all__ = [
    "AuthenticationError",
    "BlobNotFound",
    "ConnectionFailed",
    "DigestMismatch",
    "DockerCharonError",
    "InvalidDigest",
    "InvalidManifest",
    "InvalidReference",
    "ManifestNotFound",
    "PayloadError",
    "RegistryError",
    "make_payload",
    "push_payload_to_registry",
]
