"""The archives that payloads are read from: a zip, its volumes, or a directory."""
