"""The paths of the entries of a payload, in the zip and in the directory of an unzipped one."""

from __future__ import annotations

from docker_charon.oci.digest import Digest

LAYOUT_PATH = "oci-layout"
INDEX_PATH = "index.json"
DESCRIPTOR_PATH = "payload_descriptor.json"
SIGNATURE_PATH = "signature"


def blob_path(digest: Digest) -> str:
    """Return the path of the content with this digest in an image layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def delta_path(digest: Digest) -> str:
    """Return the path of the delta of the blob with this digest."""
    return f"deltas/{digest.algorithm}/{digest.encoded}"
