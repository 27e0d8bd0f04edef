"""The names that images get at the destination, and how nodes find them under the old ones."""
