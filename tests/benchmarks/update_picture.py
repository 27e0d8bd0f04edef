"""What an update weighs by image, by layer and inside layers, as a picture for any page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 850, 24, 826
TOP, STEP, BAR = 66, 84, 30
LEAST_WIDTH = 3
"""A bar is at least so wide, in pixels, that it can be seen."""

_STYLE = """
text { font-family: "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1b2a32; }
.title { font-size: 20px; font-weight: bold; }
.name { font-size: 15px; font-weight: bold; }
.how, .size { font-size: 14px; }
.how { fill: #52646e; }
.paper { fill: #ffffff; stroke: #d0d7de; }
.other { fill: #adb5bd; }
.ours { fill: #0b7285; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .how { fill: #9aa7b0; }
  .paper { fill: #0d1117; stroke: #30363d; }
  .other { fill: #57606a; }
  .ours { fill: #3bc9db; }
}
"""


@dataclass(frozen=True)
class Figures:
    """Bytes of one update of an image."""

    image: int
    """Of all its layers."""
    layers: int
    """Of the layers that changed."""
    deltas: int
    """Of the differences to their old versions."""


def draw(path: Path, figures: Figures) -> None:
    """Write the picture as an SVG file."""
    bars = [
        ("by image", "every layer of the image", figures.image, "other"),
        ("by layer", "the layers that changed: make-payload -a", figures.layers, "ours"),
        ("inside layers", "what changed in them: --layer-deltas", figures.deltas, "ours"),
    ]
    height = TOP + STEP * len(bars) + 6
    title = "The same update, three ways over the air gap"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="14"/>',
        f'<text class="title" x="{LEFT}" y="40">{title}</text>',
    ]
    scale = (RIGHT - LEFT - 100) / figures.image  # the size stands beside the longest bar
    for n, (name, how, size, kind) in enumerate(bars):
        top = TOP + STEP * n
        wide = max(size * scale, LEAST_WIDTH)
        middle = top + 26 + BAR / 2 + 5
        lines += [
            f'<text x="{LEFT}" y="{top + 16}"><tspan class="name">{escape(name)}</tspan>'
            f'<tspan class="how" dx="12">{escape(how)}</tspan></text>',
            f'<rect class="{kind}" x="{LEFT}" y="{top + 26}" width="{wide:.1f}" '
            f'height="{BAR}" rx="3"/>',
            f'<text class="size" x="{LEFT + wide + 10:.1f}" y="{middle}">'
            f"{size / 1e6:.1f} MB</text>",
        ]
    path.write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")
