"""The volumes of a payload: how it is cut into files, and read as one file again."""
