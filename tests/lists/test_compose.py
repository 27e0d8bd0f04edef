"""Compose files: why a service is passed over."""

from __future__ import annotations

import pytest

from docker_charon.lists.compose import is_compose, select_services
from docker_charon.lists.image_list import Selection
from docker_charon.lists.tree import Mapping
from docker_charon.lists.yaml_text import read_yaml

FRAGMENTS = """\
x-app: &app {image: "app:1"}
x-limits: &limits {mem_limit: 1g}
x-nested: &nested {<<: *app}
services:
"""


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("{build: .}", "it is built"),
        ("{<<: *limits, build: .}", "it is built"),
        ("{<<: *nested, build: .}", "it is merged from an alias"),
        ("{<<: [*limits, *elsewhere]}", "it is merged from an alias"),
        ("{extends: {file: a.yaml, service: b}}", "it extends another file"),
        ("*app", "it is an alias"),
        ("{<<: *app, build: .}", ""),
        ("{extends: {service: b}}", ""),
        ("{image: b, build: .}", ""),
    ],
)
def test_a_service_is_passed_over_for_a_reason(service: str, reason: str) -> None:
    text = f"{FRAGMENTS}  web: {service}\n  other: {{image: 'other:1'}}\n"
    (document,) = read_yaml(text.split("\n"))
    assert isinstance(document.root, Mapping)
    assert is_compose(document.root)
    selection = Selection()
    select_services(document.root, selection)
    passed_over = selection.finish([]).passed_over
    assert [(passed.line, passed.value) for passed in passed_over] == [(5, "web")] * bool(reason)
    assert all(passed.reason.startswith(reason) for passed in passed_over)
