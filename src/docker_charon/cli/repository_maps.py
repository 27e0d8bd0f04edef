"""Repository maps, from options and from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from docker_charon.cli.arguments import names_of
from docker_charon.cli.text_file import lines_in
from docker_charon.errors import InvalidReference


def repository_map_of(words: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """Return the map that words and files contain; raise `InvalidReference` if it is not valid.

    A word, or a line of a file, is ``FROM=TO``, or several of these separated by commas.
    """
    from docker_charon.transfer.renaming.repository_map import joined_rules, parse_rule

    rules = [parse_rule(text) for text in names_of(words)]
    for place, text in _texts_in(files):
        try:
            rules.append(parse_rule(text))
        except InvalidReference:
            # The error has the text, which may be a secret if this is another kind of file.
            raise InvalidReference(
                f"{place}: it is not FROM=TO with valid names",
                hint="write FROM=TO in lower case, without tags, for example quay.io=mirror/quay",
            ) from None
    return joined_rules(rules)


def _texts_in(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the parts of files that should be rules, each with the place where it is."""
    for file in files:
        for number, line in enumerate(lines_in(file, "the repository map"), start=1):
            for text in names_of([line]):
                yield f"{file}, line {number}", text
