"""The help of a command: plain text, with options in groups and examples on lines of their own."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

IMAGES = "Images"
ALREADY_THERE = "What the air-gapped registry has"
REGISTRY = "Registry"
RUN = "General"
_ORDER = (IMAGES, ALREADY_THERE, REGISTRY, RUN)


COMMON = """\
A first delivery, and an update that carries only what is new:
  docker-charon make-payload -r registry.example.com -f payload.zip my-image:1.4
  docker-charon push-payload -r registry.lan -f payload.zip
  docker-charon make-payload -r registry.example.com -f update.zip \\
      --already-transferred-payload payload.zip my-image:1.8

Environment:
  DOCKER_CHARON_USERNAME, DOCKER_CHARON_PASSWORD  instead of -u and -p
  DOCKER_CONFIG, REGISTRY_AUTH_FILE               where Docker and Podman store logins
  DOCKER_AUTH_CONFIG                              these logins themselves, in JSON
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY    proxies
  REQUESTS_CA_BUNDLE, SSL_CERT_FILE               certificates to trust
  TMPDIR                                          where pipes are stored and layers rebuilt

Exit status: 0 done, 1 failed, 2 wrong usage, 3 some images left out,
130, 143 and 129 interrupted (by Ctrl-C, SIGTERM and SIGHUP)."""
"""What the help of the program says below its commands."""


class Command(TyperCommand):
    """A command whose help shows the options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write each group with its arguments and options."""
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
        """Write the examples and keep their line breaks."""
        _write_lines(self.epilog, formatter)


class Group(TyperGroup):
    """The program itself, whose help lists the commands."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the text and keep its line breaks."""
        _write_lines(self.epilog, formatter)


def _write_lines(text: str | None, formatter: Any) -> None:
    if text:
        formatter.write_paragraph()
        for line in text.splitlines():
            formatter.write(f"{line}\n")
