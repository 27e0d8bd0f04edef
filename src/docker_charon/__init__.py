"""Transfer Docker images to an air-gapped system efficiently.

`make_payload` reads images from a registry and writes one zip file with what the other side
lacks. `push_payload_to_registry` pushes that file to the registry there::

    from docker_charon import make_payload, push_payload_to_registry

    make_payload("registry.example.com", "payload.zip", ["my-image:1.4"])
    push_payload_to_registry("registry.lan", "payload.zip")

The update contains only what is new since that payload::

    make_payload(
        "registry.example.com",
        "update.zip",
        ["my-image:1.8"],
        payloads_already_transferred=["payload.zip"],
    )
    names = push_payload_to_registry("registry.lan", "update.zip", strict=True)

`verify_payload` and `inspect_payload` check and describe a payload without a network::

    from docker_charon import inspect_payload, verify_payload

    problems = verify_payload("update.zip")  # an empty list: every byte is right
    for image in inspect_payload("update.zip").images:
        print(image.name, image.digest)

`make_inventory` writes a file that lists what a registry has, instead of earlier payloads. `serve`
runs a small registry for a side that has none::

    from docker_charon import make_inventory, serve

    make_inventory("registry.lan", "inventory.zip")
    with serve(["payload.zip", "update.zip"]) as server:
        print(server.address)

Every error is a `DockerCharonError`, which has a ``message`` and a ``hint``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from docker_charon.errors import (
        AuthenticationError,
        BlobNotFound,
        ConnectionFailed,
        DigestMismatch,
        DockerCharonError,
        InvalidDigest,
        InvalidManifest,
        InvalidPlatform,
        InvalidReference,
        ManifestNotFound,
        PayloadError,
        PushIncomplete,
        RegistryError,
        ServerError,
    )
    from docker_charon.payload.inspect import (
        DeltaSummary,
        ImageSummary,
        PayloadSummary,
        inspect_payload,
    )
    from docker_charon.payload.verify import verify_payload
    from docker_charon.progress.event import ProgressEvent
    from docker_charon.server import Server, serve
    from docker_charon.transfer.inventory import make_inventory
    from docker_charon.transfer.make import make_payload
    from docker_charon.transfer.push import push_payload_to_registry
    from docker_charon.transfer.summary import Summary

__all__ = [
    "AuthenticationError",
    "BlobNotFound",
    "ConnectionFailed",
    "DeltaSummary",
    "DigestMismatch",
    "DockerCharonError",
    "ImageSummary",
    "InvalidDigest",
    "InvalidManifest",
    "InvalidPlatform",
    "InvalidReference",
    "ManifestNotFound",
    "PayloadError",
    "PayloadSummary",
    "ProgressEvent",
    "PushIncomplete",
    "RegistryError",
    "Server",
    "ServerError",
    "Summary",
    "inspect_payload",
    "make_inventory",
    "make_payload",
    "push_payload_to_registry",
    "serve",
    "verify_payload",
]

# These names are imported when they are first used, because their modules take time to load. All
# others are errors.
_HOMES = {
    "DeltaSummary": "payload.inspect",
    "ImageSummary": "payload.inspect",
    "PayloadSummary": "payload.inspect",
    "ProgressEvent": "progress.event",
    "Server": "server.server",
    "Summary": "transfer.summary",
    "inspect_payload": "payload.inspect",
    "make_inventory": "transfer.inventory",
    "make_payload": "transfer.make",
    "push_payload_to_registry": "transfer.push",
    "serve": "server.server",
    "verify_payload": "payload.verify",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # it takes a third of the time that Python needs to start

    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
