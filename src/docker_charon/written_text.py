"""Text in files of users, as the editors and shells of all systems save it."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_END = "\x1a"  # Ctrl-Z, with which some programs of Windows end a text


def is_marked(content: bytes) -> bool:
    """Return whether a text begins with a byte order mark, as Windows writes one."""
    return any(content.startswith(mark) for mark, _ in _MARKS)


def decoded(content: bytes, errors: str = "strict") -> str:
    """Return a text in UTF-8, or in UTF-16 with a byte order mark, without marks of Windows.

    Line breaks stay as they are. ``errors`` are those of `bytes.decode`. Raises ``ValueError`` with
    a short reason for bytes in another encoding.
    """
    encoding, size = next(
        ((encoding, len(mark)) for mark, encoding in _MARKS if content.startswith(mark)),
        ("utf-8", 0),
    )
    try:
        text = content[size:].decode(encoding, errors)
    except UnicodeDecodeError:
        raise ValueError("it is neither UTF-8 nor UTF-16 text") from None
    return text.rstrip(_END) if text.endswith(_END) else text
