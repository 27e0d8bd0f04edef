"""Files with names of images: what is taken from each file of the corpus, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docker_charon.errors import DockerCharonError, InvalidReference
from docker_charon.lists import file as file_module
from docker_charon.lists.file import read_images
from fuzz.line import check_line

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.iterdir() if path.suffix != ".expected")


def outcome(content: bytes) -> list[str]:
    """Return what was recognised, what was taken (+), and what was passed over (-)."""
    try:
        images = read_images(content, "FILE")
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
    assert outcome(path.read_bytes()) == expected


def test_every_expectation_belongs_to_a_file() -> None:
    assert {path.name.removesuffix(".expected") for path in CORPUS.glob("*.expected")} == {
        path.name for path in FILES
    }


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_line_breaks_and_encodings_of_windows_change_nothing(
    line_break: str, encoding: str
) -> None:
    for path in FILES:
        text = _text_of(path)
        content = text.replace("\n", line_break).encode(encoding)
        assert outcome(content) == outcome(text.encode()), path


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    return text.replace("\r\n", "\n")


def test_the_name_of_the_file_does_not_matter() -> None:
    content = (CORPUS / "compose-plain.yaml").read_bytes()
    assert read_images(content, "list.txt") == read_images(content, "pods.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "it is neither UTF-8 nor UTF-16 text"),
        (b"caf\xe9:1", "it is neither UTF-8 nor UTF-16 text"),
        (b'{"image": "a"} {"image": "b"}', "line 1 is not valid JSON"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "line 1 is not valid JSON"),
        (b'{"image": "a",\n "b": nothing}', r"line 2 is not valid JSON"),
        (b'{"image": "a"}\n"b"', "line 2 is not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(DockerCharonError, match=f"cannot read the images from FILE: {reason}"):
        read_images(content, "FILE")


def test_a_file_is_not_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "LARGEST_FILE", 2 * 1024**2)
    with pytest.raises(DockerCharonError, match="it is larger than 2 MiB"):
        read_images(b"#" * (2 * 1024**2 + 1), "FILE")
    monkeypatch.setattr(file_module, "MOST_VALUES", 10)
    for content in (b"a\n" * 11, b"[1,2,3,4,5,6,7,8,9,0]", b"x: {" + b"a,," * 5 + b"}"):
        with pytest.raises(DockerCharonError, match="it has more than 10 values"):
            read_images(content, "FILE")


def test_an_unknown_file_names_its_first_line_and_what_can_be_read() -> None:
    with pytest.raises(InvalidReference) as caught:
        read_images(b"# a comment\n\nserver:\n  port: 80\n", "settings.yaml")
    assert "settings.yaml: line 3 ('server:')" in caught.value.message
    assert "Compose files, manifests for Kubernetes" in caught.value.hint


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
    content = text.encode("utf-8", "replace")
    try:
        images = read_images(content, "FILE")
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
    content = bytearray(data.draw(st.sampled_from(FILES)).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content)))
        length = data.draw(st.sampled_from([0, 1, 5, 40]))
        content[position : position + length] = data.draw(PIECES).encode()
    outcome(bytes(content))
