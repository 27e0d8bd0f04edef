"""The log of the library, shown as lines on standard error."""

from __future__ import annotations

import logging

from docker_charon.messages import say

_LOGGER = logging.getLogger("docker_charon")


class _MessageHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def show_warnings() -> None:
    """Show warnings, from the first call on."""
    if not _LOGGER.handlers:
        _LOGGER.addHandler(_MessageHandler())
        _LOGGER.setLevel(logging.WARNING)


def show_information() -> None:
    """Also show INFO messages, but not the reports of transfers: the progress says the same."""
    show_warnings()
    _LOGGER.setLevel(logging.INFO)
    logging.getLogger("docker_charon.transfer.report_file").setLevel(logging.WARNING)
