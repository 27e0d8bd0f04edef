"""The words of the program: every text in its source that somebody may read.

This program prints them. What it prints is kept in ``messages.txt``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/docker_charon"


def listed() -> str:
    """Return the texts of all modules, each on a line of its own, in the order of the source."""
    lines = []
    for path in sorted(SOURCE.rglob("*.py")):
        texts = list(texts_in(ast.parse(path.read_text("utf-8"))))
        if texts:
            lines += [f"[{path.relative_to(SOURCE).as_posix()}]", *texts, ""]
    return "\n".join(lines)


def texts_in(tree: ast.Module) -> Iterator[str]:
    """Yield the texts with two words or more that are no documentation of the source."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    texts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        if not isinstance(parents[node], (ast.Expr, ast.JoinedStr, ast.FormattedValue))
    ]
    for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)):
        text = " ".join(_text_of(node).split())
        if " " in text and any(character.isalpha() for character in text):
            yield text


def _text_of(node: ast.expr) -> str:
    """Return a text, with a name in braces for what is only known at run time."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text_of, node.values))
    value = node.value if isinstance(node, ast.FormattedValue) else node
    names = [part for part in ast.walk(value) if isinstance(part, (ast.Name, ast.Attribute))]
    name = names[0] if names else None
    return f"{{{name.attr if isinstance(name, ast.Attribute) else name.id if name else '...'}}}"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    print(listed())
