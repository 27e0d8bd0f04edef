"""The distribution API as a test writes it: one request, one answer, looked at from all sides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

import requests

import images
from images import TestImage, digest_of

UNKNOWN = digest_of(b"nobody has ever seen this")


class Api:
    """Requests to one registry below ``/v2/``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = f"http://{address}/v2/"
        self.session = requests.Session()

    def __call__(
        self, method: str, path: str, data: Any = None, /, **headers: str
    ) -> requests.Response:
        """Send a request; ``Content_Type`` is the header of nearly that name."""
        return self.session.request(
            method,
            urljoin(self.root, path),
            data=data,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            timeout=20,
            allow_redirects=False,
        )

    def put(self, name: str, wanted: TestImage) -> TestImage:
        return images.put(self.address, name, wanted)

    def start(self, repository: str = "app") -> str:
        """Begin an upload; return its location."""
        answer = self("POST", f"{repository}/blobs/uploads/")
        assert answer.status_code == 202
        return answer.headers["Location"]

    def blob(self, content: bytes, repository: str = "app") -> str:
        """Store a blob; return its digest."""
        images.put_blob(self.address, repository, content)
        return digest_of(content)

    def manifest(
        self, reference: str, value: Any, media_type: str = images.OCI, repository: str = "app"
    ) -> requests.Response:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        path = f"{repository}/manifests/{reference}"
        return self("PUT", path, content, Content_Type=media_type)


def code_of(answer: requests.Response) -> str:
    """Return the first error's code; every error has a message too."""
    assert answer.headers["Content-Type"] == "application/json"
    (problem,) = answer.json()["errors"]
    assert set(problem) == {"code", "message", "detail"}
    assert problem["message"]
    code: str = problem["code"]
    return code


def refused(answer: requests.Response, status: int, code: str) -> bool:
    """Whether an answer is this refusal; says what it is instead."""
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    return True
