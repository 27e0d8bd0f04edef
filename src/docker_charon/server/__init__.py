"""The embedded registry."""

from docker_charon.server.server import Server, serve

__all__ = ["Server", "serve"]
