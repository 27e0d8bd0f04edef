"""What is written down for every cell of the table.

``s``: survived, every byte is right. ``e``: one clear error, and neither a payload nor a tag.
``t``: the same error, yet the registry has done what it was asked for, and only its answer was
lost. ``-``: there is no such cell.
"""

from __future__ import annotations

EXPECTED = {
    # make: GET check, GET manifest by tag, GET child by digest, GET blob
    # push: GET check, GET manifest by tag, HEAD child by digest, GET byte of a blob that is
    #       there, GET byte of one that is not, upload POST, upload PUT, mount POST, GET blob to
    #       copy, PUT child, PUT manifest by tag, GET manifest by tag in the end
    "reset before the answer, once": "ssss ssssssssssss",
    "reset before the answer, twice": "ssss ssssssssssss",
    "reset before the answer, always": "eeee eeeeeeeeeeet",
    "reset in the middle, once": "-sss -s----s-ssss",
    "reset in the middle, twice": "-sss -s----s-ssss",
    "reset in the middle, always": "-eee -e----e-eeet",
    "reset after the end, once": "ssss ssssssssssss",
    "reset after the end, always": "ssss sseeeesesets",
    "closed before the answer, once": "ssss ssssssssssss",
    "closed before the answer, always": "eeee eeeeeeeeeeet",
    "closed in the middle, once": "-sss -s------s--s",
    "closed in the middle, always": "-ees -e------s--t",
    "truncated, once": "-sss -s------s--s",
    "truncated, always": "-eee -e------e--t",
    "a bit flipped, once": "-sss -s----s-esss",
    "a bit flipped, always": "-eee -e----e-eeet",
    "stalled before the answer, once": "ssss ssssssssssss",
    "stalled before the answer, always": "eeee eeeeeeeeeeet",
    "stalled in the middle, once": "-sss -s------s--s",
    "stalled in the middle, always": "-eee -e------e--t",
    "408, once": "ssss ssssssssssss",
    "408, twice": "ssss ssssssssssss",
    "408, always": "seee eessseeseeet",
    "429, once": "ssss ssssssssssss",
    "429, twice": "ssss ssssssssssss",
    "429, always": "eeee eessseeseeet",
    "500, once": "ssss ssssssssssss",
    "500, twice": "ssss ssssssssssss",
    "500, always": "seee eessseeseeet",
    "502, once": "ssss ssssssssssss",
    "502, twice": "ssss ssssssssssss",
    "502, always": "seee eessseeseeet",
    "503, once": "ssss ssssssssssss",
    "503, twice": "ssss ssssssssssss",
    "503, always": "seee eessseeseeet",
    "504, once": "ssss ssssssssssss",
    "504, twice": "ssss ssssssssssss",
    "504, always": "seee eessseeseeet",
    "429 with Retry-After: 0": "ssss ssssssssssss",
    "Range ignored": "---s --------s---",
    "Content-Range of another part": "---s --------s---",
    "Content-Range of nonsense": "---s --------s---",
    "Content-Range dropped": "---s --------s---",
    "Content-Length too small": "seee sessssssesst",
    "Content-Length too large": "seee sesessssesst",
    "Content-Length of nonsense": "ssse ssssssssesss",
    "another Docker-Content-Digest": "-sss -sss--ssssss",
    "Docker-Content-Digest of nonsense": "-sss -sss--ssssss",
    "Content-Length dropped": "ssss ssssssssssss",
    "Content-Type dropped": "ssss ssssssssssss",
    "Docker-Content-Digest dropped": "-sss -sss--ssssss",
    "Location dropped": "---- -----e-s----",
    "HEAD refused (405)": "---- --s---------",
    "HTML with 200, once": "sess eessseessees",
    "HTML with 200, always": "seee eessseeseees",
}
