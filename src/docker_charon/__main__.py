"""``python -m docker_charon``."""

from docker_charon.cli import main

if __name__ == "__main__":
    main()
