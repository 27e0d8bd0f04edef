"""The options about deliveries."""

from __future__ import annotations

import pytest

from command_line import charon


@pytest.mark.parametrize("option", ["--ledger", "--lock", "--report"])
def test_what_is_written_beside_a_payload_is_not_written_to_standard_output(option: str) -> None:
    done = charon("make-payload", "-f", "p.zip", option, "-", "app:1")
    assert done.status == 2
    assert f"'{option}': - is not possible here: name a file" in done.stderr


@pytest.mark.parametrize("option", ["--receipt", "--report"])
def test_what_is_written_by_a_push_is_not_written_to_standard_output(option: str) -> None:
    done = charon("push-payload", "-r", "registry.example", "-f", "p.zip", option, "-")
    assert done.status == 2
    assert f"'{option}': - is not possible here: name a file" in done.stderr
