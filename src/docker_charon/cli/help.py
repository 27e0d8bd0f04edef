"""A command's help in plain text: its options in groups, its examples as they are typed."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

IMAGES = "Images"
LEFT_OUT = "What the other side has"
REGISTRY = "Registry"
RUN = "This run"
_ORDER = (IMAGES, LEFT_OUT, REGISTRY, RUN)


class Command(TyperCommand):
    """A command whose options are shown in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the groups; arguments are options without dashes here."""
        groups: dict[str, list[tuple[str, str]]] = {panel: [] for panel in _ORDER}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                row = (parameter.metavar, parameter.help)
            else:
                row = parameter.get_help_record(ctx)
            if row is not None:
                groups[getattr(parameter, "rich_help_panel", None) or RUN].append(row)
        for panel, rows in groups.items():
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples line by line."""
        _write_lines(self.epilog, formatter)


class Group(TyperGroup):
    """The commands, and what is common to them."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write it line by line."""
        _write_lines(self.epilog, formatter)


def _write_lines(text: str | None, formatter: Any) -> None:
    if text:
        formatter.write_paragraph()
        for line in text.splitlines():
            formatter.write(f"{line}\n")
