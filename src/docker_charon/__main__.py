"""``python -m docker_charon``."""

from docker_charon.cli.commands import main

if __name__ == "__main__":
    main()
