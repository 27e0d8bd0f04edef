"""``python -m docker_charon``."""

from docker_charon.cli.program import start

if __name__ == "__main__":
    start()
