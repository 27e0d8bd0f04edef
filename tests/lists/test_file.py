"""Files with names of images: what is taken from each file of the corpus, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docker_charon.cli.text_file import text_in
from docker_charon.errors import DockerCharonError, InvalidReference
from docker_charon.lists import file as file_module
from docker_charon.lists.file import read_images
from fuzz.line import check_line

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.iterdir() if path.suffix != ".expected")


def outcome(text: str) -> list[str]:
    """Return what was recognised, what was taken (+), and what was passed over (-)."""
    try:
        images = read_images(text, "FILE")
    except DockerCharonError as error:
        check_line(error)
        message, not_json, _ = error.message.partition(" is not valid JSON")
        return [f"error: {message}{not_json}"]  # the reason depends on the version of Python
    return [
        ", ".join(images.formats) or "a plain list",
        *(f"+ {name}" for name in images.names),
        *(f"- {passed.line}: {passed.value}".rstrip() for passed in images.passed_over),
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_exactly_the_names_in_a_file_are_taken(path: Path) -> None:
    expected = Path(f"{path}.expected").read_text("utf-8").splitlines()
    assert outcome(text_in(str(path), "images")) == expected


def test_every_expectation_belongs_to_a_file() -> None:
    assert {path.name.removesuffix(".expected") for path in CORPUS.glob("*.expected")} == {
        path.name for path in FILES
    }


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
def test_other_line_breaks_change_nothing(line_break: str) -> None:
    for path in FILES:
        text = text_in(str(path), "images").replace("\r\n", "\n")
        assert outcome(text.replace("\n", line_break)) == outcome(text), path


def test_the_name_of_the_file_does_not_matter() -> None:
    text = (CORPUS / "compose-plain.yaml").read_text("utf-8")
    assert read_images(text, "list.txt") == read_images(text, "pods.json")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"image": "a"} {"image": "b"}', 1),
        ('{"a":' + "[" * 300 + "]" * 300 + "}", 1),
        ('{"image": "a",\n "b": nothing}', 2),
        ('{"image": "a"}\n"b"', 2),
    ],
)
def test_text_that_is_not_json_to_its_end_is_refused_with_the_line(text: str, line: int) -> None:
    with pytest.raises(DockerCharonError, match=f"FILE: line {line} is not valid JSON"):
        read_images(text, "FILE")


@pytest.mark.parametrize("text", ["a\n" * 11, "[1,2,3,4,5,6,7,8,9,0]", "x: {" + "a,," * 5 + "}"])
def test_a_text_with_too_many_values_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "MOST_VALUES", 10)
    with pytest.raises(DockerCharonError, match="it has more than 10 values"):
        read_images(text, "FILE")


def test_an_unknown_file_with_a_line_that_cannot_be_read_names_that_line() -> None:
    with pytest.raises(InvalidReference, match=r"line 2 \('c:'\) .*: its indentation does not fit"):
        read_images("a: b\n  c: d\n", "FILE")


def test_an_unknown_file_names_its_first_line_and_what_can_be_read() -> None:
    with pytest.raises(InvalidReference) as caught:
        read_images("# a comment\n\nserver:\n  port: 80\n", "settings.yaml")
    assert "settings.yaml: line 3 ('server:')" in caught.value.message
    assert "Compose files, manifests for Kubernetes" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        '{"auths": {"host": {"auth": "hunter2"}}}',
        "-----BEGIN PRIVATE KEY-----\nhunter2",
        "hunter2 and more",
        'password: "hunter2" x',
        "a: b\n  password: hunter2",
        "a: b\n  hunter2\n  c: d",
    ],
)
def test_a_line_that_cannot_be_read_is_shown_without_its_value(text: str) -> None:
    with pytest.raises(InvalidReference, match=r"line \d") as raised:
        read_images(text, "FILE")
    assert "hunter2" not in str(raised.value)
    assert "''" not in str(raised.value)


def test_the_line_that_is_shown_of_an_unknown_file_has_no_login() -> None:
    text = "a: b\n  image: {}"
    with pytest.raises(InvalidReference, match=r"\*\*\*@example.com/app:1") as raised:
        read_images(text.format(f"me:{'secret' * 100}@example.com/app:1"), "FILE")
    check_line(raised.value)


PIECES = st.sampled_from(
    [
        *(
            "image:",
            "image: a:1",
            "  ",
            "- ",
            "\n",
            "\n  ",
            "{",
            "}",
            "[",
            "]",
            ",",
            ": ",
            '"',
            "'",
        ),
        *(
            "|",
            ">-",
            "&a ",
            "*a",
            "!t ",
            "#",
            "{{ x }}",
            "${X}",
            "\t",
            "---\n",
            "...\n",
            "\\",
            "? ",
        ),
        *("services:\n", "kind: Pod\n", "apiVersion: v1\n", "images:\n", "repository: a", "tag: 1"),
        *("build: .", "<<: *a", "name: a", "newTag: 1", "\r", "\0", "\ufeff", "\u2028", "é", "a b"),
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join))


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_list_or_one_clear_error(text: str) -> None:
    try:
        images = read_images(text, "FILE")
    except DockerCharonError as error:
        check_line(error)
        return
    lines = len(text.splitlines()) + 1
    assert all(1 <= passed.line <= lines for passed in images.passed_over)
    if images.formats:
        assert all(name == name.strip() and name for name in images.names)
        assert len(set(images.names)) == len(images.names)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_a_list_or_one_clear_error(data: st.DataObject) -> None:
    text = text_in(str(data.draw(st.sampled_from(FILES))), "images")
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 5, 40]))
        text = text[:position] + data.draw(PIECES) + text[position + length :]
    outcome(text)
