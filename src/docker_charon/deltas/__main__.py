"""``python -m docker_charon.deltas``: one job, which `process` describes."""

from docker_charon.deltas.process import work

if __name__ == "__main__":
    work()
