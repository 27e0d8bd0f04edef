"""The demonstration that ``docker-charon demo`` runs."""
