"""The tour that ``docker-charon demo`` gives."""
