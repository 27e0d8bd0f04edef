"""The layer deltas in a payload: how blobs are rebuilt from them, and how they are checked."""
