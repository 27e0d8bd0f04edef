"""The signed text: what ``sha256sum`` prints, for names that cannot be misread."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from docker_charon import PayloadError
from docker_charon.payload.format.signed_text import signed_text


def test_the_text_is_what_sha256sum_prints(tmp_path: Path) -> None:
    for name, content in (("index.json", b"[]"), ("oci-layout", b""), ("payload.json", b"{}")):
        (tmp_path / name).write_bytes(content)
    printed = subprocess.run(
        ["sha256sum", "index.json", "oci-layout", "payload.json"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    ).stdout
    assert printed == signed_text({"payload.json": b"{}", "oci-layout": b"", "index.json": b"[]"})


@pytest.mark.parametrize("name", ["", "a\nb", "a b", "a\\b", "é", "a\0"])
def test_a_name_that_could_forge_the_text_is_refused(name: str) -> None:
    with pytest.raises(PayloadError, match="which cannot be signed"):
        signed_text({name: b""})
