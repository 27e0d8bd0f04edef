"""A name of an image in a text that was written for another program."""

from __future__ import annotations

import re

from docker_charon.errors import InvalidReference
from docker_charon.lists.tree import Scalar, Style
from docker_charon.messages import hide_login
from docker_charon.oci.host import host_in_front, is_host
from docker_charon.oci.reference import Reference

_VARIABLE = re.compile(r"\$[{(A-Za-z_]|###|%\{|@@")
_HEXADECIMAL = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_SCHEME = re.compile(r"[a-z][a-z-]*://")
LONGEST_NAME = 1024
"""Characters of a text that may be a name; longer texts are not examined."""
LONGEST_SHOWN = 150
"""Characters of a value in a message."""
_NO_NAME = "it is not the name of an image"
NO_TAG = "it has no name with a tag"
_NONE = "<none>"
TEMPLATE = "it is a template: use the rendered text, such as the output of helm template"
VARIABLE = "it has a variable: use a file without variables, as docker compose config prints it"


def reason_against(value: Scalar) -> str:
    """Return why a value cannot be taken as the name of an image, or ``""`` if it can."""
    text = value.text.strip()
    if value.style is Style.ALIAS:
        return "it is an alias: aliases are not followed"
    if value.style is Style.TEMPLATE or "{{" in text:
        return TEMPLATE
    if value.is_null or not text:
        return "it is empty"
    if _VARIABLE.search(text[:LONGEST_NAME]):
        return VARIABLE
    if reason := reason_without_name(text):
        return reason
    if _SCHEME.match(text):
        return "it is an address: write the name without what is before //"
    if len(text.split()) > 1:
        return "it is more than one word"
    return _grammar_against(text)


def reason_without_name(text: str) -> str:
    """Return why a text is an image in the store of one machine that has no name, or ``""``.

    docker prints ``<none>`` in the place of a name or a tag, and containerd prints IDs as well.
    """
    if _NONE in text:
        return NO_TAG
    if _HEXADECIMAL.fullmatch(text):
        return "it is an ID in the store of one machine, not a name"
    return ""


def shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Return a text for messages: of ``longest`` characters at most, and without a login in it."""
    text = hide_login(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def is_full_name(text: str) -> bool:
    """Return whether a text can only be a name: it has a registry, and a tag or a digest."""
    return len(text) <= LONGEST_NAME and "." in host_in_front(text) and is_exact_name(text)


def is_exact_name(text: str) -> bool:
    """Return whether a text is a name with a tag or a digest."""
    return ":" in text.rpartition("/")[2][:LONGEST_NAME] and not _grammar_against(text)


def _grammar_against(text: str) -> str:
    host = host_in_front(text[:LONGEST_NAME])
    try:
        Reference.parse_full(text)
    except InvalidReference:
        pass
    else:
        if not host or is_host(host):
            return ""
    return _NO_NAME if text == text.lower() else f"{_NO_NAME}, or its repository has capitals"
