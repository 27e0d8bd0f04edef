"""Layers that travel as deltas: how they are chosen and made, and rebuilt on the other side."""
