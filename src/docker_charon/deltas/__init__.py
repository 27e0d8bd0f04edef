"""Differences inside layers: bytes to bytes, without registries and payloads."""

from docker_charon.deltas.delta import apply_delta, make_delta, open_layer, shared_sectors
from docker_charon.deltas.header import Delta, DeltaHeader, DeltaLayer, read_header

__all__ = [
    "Delta",
    "DeltaHeader",
    "DeltaLayer",
    "apply_delta",
    "make_delta",
    "open_layer",
    "read_header",
    "shared_sectors",
]
