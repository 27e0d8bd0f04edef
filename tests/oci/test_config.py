"""Configs of images: platforms, and the commands that made the layers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docker_charon.oci.config import ImageConfig
from docker_charon.oci.platform import Platform


def parse(**members: Any) -> ImageConfig:
    return ImageConfig.parse(json.dumps(members).encode())


def test_steps_without_a_layer_do_not_count() -> None:
    config = parse(
        os="linux",
        architecture="arm64",
        history=[
            {"created_by": "ADD base"},
            {"created_by": "ENV A=1", "empty_layer": True},
            {"comment": "no command"},
            {"created_by": "COPY app", "empty_layer": False},
        ],
    )
    assert config == ImageConfig(Platform("linux", "arm64"), ("ADD base", "", "COPY app"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b'{"history": 7}', b'{"history": null}', b"{}"]
)
def test_a_config_that_is_malformed_says_nothing(content: bytes) -> None:
    assert ImageConfig.parse(content) == ImageConfig()


def test_a_step_that_is_malformed_is_unknown() -> None:
    assert parse(history=[7, {"created_by": 7}, {"created_by": "RUN"}]).commands == ("", "", "RUN")
