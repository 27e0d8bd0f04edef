"""A sheet to draw on: flat shapes and text in Pillow, smooth because they are drawn larger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import hypot
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Face = Literal["DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold"]

OVERSAMPLING = 3


@cache
def font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """Load a font that matplotlib brings along, so that every machine draws the same letters."""
    path = Path(mpl.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def curve(start: Point, *segments: tuple[Point, Point, Point]) -> list[Point]:
    """Return the points of a path of cubic Bézier segments: two handles and an end each."""
    points = [start]
    for a, b, end in segments:
        x0, y0 = points[-1]
        for step in range(1, 25):
            t = step / 24
            w = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            points.append(
                (
                    w[0] * x0 + w[1] * a[0] + w[2] * b[0] + w[3] * end[0],
                    w[0] * y0 + w[1] * a[1] + w[2] * b[1] + w[3] * end[1],
                )
            )
    return points


class Canvas:
    """A transparent sheet, measured in the pixels at which it will be shown.

    Args:
        width: Shown width.
        height: Shown height.
        density: Pixels of the file for each shown one; 2 is sharp on fine screens.
    """

    def __init__(self, width: float, height: float, *, density: float = 2) -> None:
        self._size = (round(width * density), round(height * density))
        self._scale = density * OVERSAMPLING
        self._image = Image.new(
            "RGBA", (self._size[0] * OVERSAMPLING, self._size[1] * OVERSAMPLING)
        )
        self._draw = ImageDraw.Draw(self._image)

    def _scaled(self, points: Iterable[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]

    def shape(self, points: Iterable[Point], fill: str) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._scaled(points), fill=fill)

    def disc(self, centre: Point, radius: float, fill: str, *, flat: float = 1) -> None:
        """Fill a circle, or with ``flat`` an ellipse of that height for its width."""
        x, y = centre
        box = self._scaled([(x - radius, y - radius * flat), (x + radius, y + radius * flat)])
        self._draw.ellipse([*box[0], *box[1]], fill=fill)

    def box(
        self,
        corner: Point,
        opposite: Point,
        fill: str | None,
        *,
        radius: float = 0,
        outline: str | None = None,
        stroke: float = 1,
    ) -> None:
        """Draw a rectangle with round corners."""
        (x0, y0), (x1, y1) = self._scaled([corner, opposite])
        self._draw.rounded_rectangle(
            (x0, y0, x1 - 1, y1 - 1),
            radius * self._scale,
            fill,
            outline,
            round(stroke * self._scale),
        )

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        """Draw a line with round ends and corners."""
        scaled = self._scaled(points)
        self._draw.line(scaled, colour, round(width * self._scale), joint="curve")
        for point in (points[0], points[-1]):
            self.disc(point, width / 2, colour)

    def dashes(self, start: Point, end: Point, colour: str, width: float, dash: float) -> None:
        """Draw a dashed line that begins and ends with a dash."""
        (x0, y0), (x1, y1) = start, end
        count = 2 * round(hypot(x1 - x0, y1 - y0) / dash / 2) + 1
        for n in range(0, count, 2):
            a, b = n / count, (n + 1) / count
            ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
            self.line(ends, colour, width)

    def arrow(self, start: Point, end: Point, colour: str, *, width: float = 4) -> None:
        """Draw an arrow whose tip is at ``end``."""
        (x0, y0), (x1, y1) = start, end
        length = hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        long, wide = 3.5 * width, 2.2 * width
        neck = (x1 - dx * long, y1 - dy * long)
        self.line([start, (neck[0] + dx, neck[1] + dy)], colour, width)
        self.shape(
            [
                (x1, y1),
                (neck[0] - dy * wide, neck[1] + dx * wide),
                (neck[0] + dy * wide, neck[1] - dx * wide),
            ],
            colour,
        )

    def text(
        self,
        at: Point,
        text: str,
        size: float,
        colour: str,
        *,
        face: Face = "DejaVuSans",
        anchor: str = "ls",
    ) -> float:
        """Write one line, and return its width; ``anchor`` is Pillow's, by default the baseline."""
        letters = font(face, round(size * self._scale))
        self._draw.text(self._scaled([at])[0], text, colour, letters, anchor)
        return letters.getlength(text) / self._scale

    def width(self, text: str, size: float, face: Face = "DejaVuSans") -> float:
        """Return how wide a line of text would be."""
        return font(face, round(size * self._scale)).getlength(text) / self._scale

    def image(self) -> Image.Image:
        """Return what has been drawn, in the pixels of the file."""
        return self._image.resize(self._size, Image.Resampling.BOX)

    def save_png(self, path: Path, *, colours: int = 128) -> None:
        """Write a small PNG: a palette, the last colour of which is the transparent one."""
        image = self.image()
        last = colours - 1
        picture = image.convert("RGB").quantize(
            last, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )
        outside = image.getchannel("A").point([255 * (alpha < 128) for alpha in range(256)])
        palette = picture.getpalette() or []
        picture.putpalette([*palette, *(0 for _ in range(3 * colours - len(palette)))])
        picture.paste(last, mask=outside)
        picture.save(path, optimize=True, transparency=last)

    def save_jpeg(self, path: Path, *, quality: int = 85) -> None:
        """Write a JPEG."""
        self.image().convert("RGB").save(
            path, quality=quality, optimize=True, progressive=True, subsampling=0
        )
