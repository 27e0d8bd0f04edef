"""Transfer Docker images to an air-gapped system efficiently.

`make_payload` reads a registry and writes one zip with what the other side lacks;
`push_payload_to_registry` puts it into the registry there. `verify_payload` and `inspect_payload`
look into it on the way, without a network.
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
    ServerError,
)
from docker_charon.inspection import ImageSummary, PayloadSummary, inspect_payload
from docker_charon.make import make_payload
from docker_charon.push import push_payload_to_registry
from docker_charon.server import Server, serve
from docker_charon.verification import verify_payload

__all__ = [
    "AuthenticationError",
    "BlobNotFound",
    "ConnectionFailed",
    "DigestMismatch",
    "DockerCharonError",
    "ImageSummary",
    "InvalidDigest",
    "InvalidManifest",
    "InvalidReference",
    "ManifestNotFound",
    "PayloadError",
    "PayloadSummary",
    "RegistryError",
    "Server",
    "ServerError",
    "inspect_payload",
    "make_payload",
    "push_payload_to_registry",
    "serve",
    "verify_payload",
]
