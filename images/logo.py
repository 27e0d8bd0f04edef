"""The logo: Charon, who ferries containers over the Styx by night."""

from __future__ import annotations

from pathlib import Path

from canvas import Canvas, Point, curve

WIDTH, HEIGHT, HORIZON, WATERLINE = 1200, 500, 338, 412
MOON_X = 392

SKY, FAR, NEAR = "#11394a", "#1a4b5d", "#15424f"
WATER, WAVE, GLINT = "#0c2c39", "#1f5567", "#b9b7a0"
NIGHT, HULL, FOLD, PLANK = "#061820", "#04141b", "#1c4252", "#c97b3f"
MOON, FLAME, WOOD = "#f4e4c1", "#ffb454", "#b98a5e"
CARGO = {
    "orange": ("#e8590c", "#c2480a"),
    "teal": ("#1098ad", "#0b7285"),
    "sand": ("#f2c57c", "#d9a55a"),
}


def draw(path: Path) -> None:
    """Draw the logo into a JPEG file."""
    canvas = Canvas(WIDTH, HEIGHT, density=1)
    _landscape(canvas)
    _pole(canvas)
    _cargo(canvas, (490, 372))
    _ferryman(canvas)
    _boat(canvas)
    _waves(canvas)
    canvas.save_jpeg(path)


def _landscape(canvas: Canvas) -> None:
    canvas.box((0, 0), (WIDTH + 1, HEIGHT + 1), SKY)
    canvas.disc((MOON_X, 196), 142, MOON)
    far = curve(
        (0, 270),
        ((120, 200), (190, 250), (290, 290)),
        ((400, 330), (560, 330), (680, 300)),
        ((800, 268), (860, 190), (980, 200)),
        ((1060, 208), (1120, 250), (WIDTH, 236)),
    )
    canvas.shape([*far, (WIDTH, HORIZON), (0, HORIZON)], FAR)
    near = curve(
        (0, 318),
        ((140, 290), (240, 318), (360, 326)),
        ((600, 340), (760, 330), (900, 300)),
        ((1010, 274), (1100, 300), (WIDTH, 296)),
    )
    canvas.shape([*near, (WIDTH, HORIZON), (0, HORIZON)], NEAR)
    canvas.box((0, HORIZON), (WIDTH + 1, HEIGHT + 1), WATER)
    for x, y in ((96, 84), (190, 150), (604, 62), (700, 140), (812, 74), (940, 120), (1096, 66)):
        canvas.disc((x, y), 2.4, MOON)


def _ferryman(canvas: Canvas) -> None:
    cloak = curve(
        (392, 118),
        ((424, 122), (444, 146), (448, 170)),
        ((450, 180), (445, 188), (441, 196)),
        ((439, 204), (440, 212), (444, 220)),
        ((460, 234), (464, 262), (467, 300)),
        ((470, 330), (475, 360), (482, 388)),
        ((440, 392), (390, 392), (336, 388)),
        ((350, 340), (346, 270), (358, 240)),
        ((362, 226), (368, 218), (374, 210)),
        ((362, 188), (362, 142), (392, 118)),
    )
    canvas.shape(cloak, NIGHT)
    hood = curve((424, 148), ((408, 160), (404, 190), (420, 220)))
    canvas.line(hood, FOLD, 3)
    for fold in (
        curve((424, 262), ((432, 300), (436, 340), (440, 366))),
        curve((402, 286), ((404, 316), (404, 340), (402, 366))),
    ):
        canvas.line(fold, FOLD, 3)
    for (x0, y0), (x1, y1) in (((400, 232), _on_pole(218)), ((396, 262), _on_pole(262))):
        sleeve = curve(
            (x0, y0 - 16),
            ((x0 - 36, y0 - 12), (x1 + 34, y1 - 12), (x1 + 6, y1 - 8)),
            ((x1 + 6, y1), (x1 + 8, y1 + 12), (x1 + 14, y1 + 26)),
            ((x1 + 30, y1 + 26), (x0 - 30, y0 + 22), (x0, y0 + 22)),
        )
        canvas.shape(sleeve, NIGHT)
        canvas.disc((x1 + 2, y1), 6, WOOD)


def _on_pole(y: float) -> Point:
    return 376 - (y - 52) * 0.352, y


def _pole(canvas: Canvas) -> None:
    canvas.line([_on_pole(52), _on_pole(452)], HULL, 6)


def _cargo(canvas: Canvas, corner: Point) -> None:
    x, y = corner
    wide, high = 104, 54
    rows = [["orange", "teal", "sand"], ["sand", "orange"]]
    for level, row in enumerate(rows):
        left = x + (0 if level == 0 else wide / 2)
        for n, name in enumerate(row):
            _container(
                canvas,
                (left + n * (wide + 3), y - (level + 1) * (high + 3)),
                (wide, high),
                *CARGO[name],
            )


def _container(canvas: Canvas, at: Point, size: Point, light: str, dark: str) -> None:
    (x, y), (wide, high) = at, size
    canvas.box((x, y), (x + wide, y + high), light, radius=2)
    canvas.box((x, y), (x + wide, y + 5), dark, radius=2)
    canvas.box((x, y + high - 5), (x + wide, y + high), dark, radius=2)
    ribs = 8
    for n in range(1, ribs):
        middle = x + wide * n / ribs
        canvas.box((middle - 1.8, y + 11), (middle + 1.8, y + high - 11), dark, radius=1.8)


def _boat(canvas: Canvas) -> None:
    deck = curve(
        (304, 318),
        ((330, 352), (360, 366), (420, 368)),
        ((560, 372), (700, 374), (806, 370)),
        ((876, 364), (912, 330), (926, 262)),
    )
    keel = curve(
        (938, 262),
        ((944, 340), (900, 400), (830, 420)),
        ((760, 436), (470, 436), (410, 424)),
        ((350, 412), (310, 372), (296, 322)),
    )
    canvas.shape([*deck, *keel], HULL)
    rail = curve(
        (309, 334),
        ((334, 364), (366, 378), (420, 380)),
        ((560, 384), (700, 386), (806, 382)),
        ((874, 376), (910, 350), (927, 300)),
    )
    canvas.line(rail, PLANK, 3.5)
    canvas.line([(932, 262), (958, 256), (958, 268)], HULL, 4)
    canvas.box((950, 268), (966, 292), FLAME, radius=4)
    canvas.box((948, 266), (968, 271), HULL, radius=2)
    canvas.box((948, 289), (968, 294), HULL, radius=2)


def _waves(canvas: Canvas) -> None:
    canvas.box((0, WATERLINE), (WIDTH + 1, HEIGHT + 1), WATER)
    for y, wide in ((426, 190), (444, 150), (462, 104), (480, 62)):
        canvas.box((MOON_X - wide / 2, y - 3), (MOON_X + wide / 2, y + 3), GLINT, radius=3)
    for y, x, wide in (
        (356, 60, 120),
        (374, 150, 90),
        (360, 1010, 110),
        (384, 1060, 100),
        (402, 30, 90),
        (428, 560, 180),
        (446, 780, 140),
        (440, 120, 110),
        (462, 560, 110),
        (470, 950, 150),
        (413, 222, 56),
        (413, 866, 84),
        (430, 1000, 90),
        (478, 160, 70),
        (482, 700, 90),
    ):
        canvas.box((x, y - 2), (x + wide, y + 2), WAVE, radius=2)
