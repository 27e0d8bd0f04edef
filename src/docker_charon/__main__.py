"""``python -m docker_charon``."""

from docker_charon.cli.program import main

if __name__ == "__main__":
    main()
