"""Zstandard frames whose content continues other content, the *prefix* (RFC 8878)."""

from __future__ import annotations

import sys

from docker_charon.deltas.failure import damaged

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_PREFIX = 22 * 1024 * 1024
"""The most bytes of a prefix."""

_LARGEST_WINDOW = 25
"""The binary logarithm of the largest window: 32 MiB for a prefix and the content after it."""

LEVEL = 3
"""With `_TABLE` and `_LEAST_MATCH` it compresses better than level 12, and three times as fast."""

HIGH_LEVEL = 19
"""For small contents, because it is slow."""

_TABLE = 22
"""The binary logarithm of the entries, of 4 bytes each, in the two tables of matches.

The tables of the level are so small that they forget nearly all of the prefix.
"""

_LEAST_MATCH = 6
"""The shortest match in bytes: shorter ones hide the long ones in the prefix."""

_LEAST_LONG_MATCH = 512
"""The shortest match that is searched in all of the prefix.

A shorter one would often be at another place than the bytes around it, and would end sooner.
"""

_RATE = 6
"""One of 2 ** 6 places is remembered for long matches.

That table has an entry of 8 bytes for each of these places in the window. In a smaller table, the
first part of the prefix would be forgotten, and no long matches would be found there.
"""


def compress(content: bytes, prefix: bytes, level: int = LEVEL) -> bytes:
    """Return ``content`` as a frame that needs the same prefix; empty content gives no frame."""
    if not content:
        return b""
    window = min(max((len(content) + len(prefix)).bit_length(), 17), _LARGEST_WINDOW)
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {
        parameter.compression_level: level,
        parameter.window_log: window,
        parameter.enable_long_distance_matching: 1,
        parameter.ldm_min_match: _LEAST_LONG_MATCH,
        parameter.ldm_hash_rate_log: _RATE,
        parameter.ldm_hash_log: window - _RATE,
    }
    if level == LEVEL:
        table = min(window, _TABLE)
        options |= {
            parameter.hash_log: table,
            parameter.chain_log: table,
            parameter.min_match: _LEAST_MATCH,
        }
    return zstd.compress(content, options=options, zstd_dict=_as_prefix(prefix))


def decompress(frame: bytes, prefix: bytes, size: int) -> bytes:
    """Return the content of a frame.

    Raises `DeltaError` unless it has exactly ``size`` bytes. Not more than that is unpacked.
    """
    if not size and not frame:
        return b""
    decompressor = zstd.ZstdDecompressor(
        zstd_dict=_as_prefix(prefix),
        options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW},
    )
    try:
        content = decompressor.decompress(frame, size)
        if not decompressor.eof:  # the end of the frame may not have been read yet
            content += decompressor.decompress(b"", 1)
    except (zstd.ZstdError, EOFError) as error:
        raise damaged(str(error)) from error
    if len(content) != size or not decompressor.eof or decompressor.unused_data:
        raise damaged("a frame has another size than it says")
    return content


def _as_prefix(prefix: bytes) -> tuple[zstd.ZstdDict, int] | None:
    # Shorter than 8 bytes is no dictionary for zstd.
    return zstd.ZstdDict(prefix, is_raw=True).as_prefix if len(prefix) >= 8 else None
