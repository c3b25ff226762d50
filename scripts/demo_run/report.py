# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws report.png: what was asked for, what came out, and how it was learned."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PANEL = 400
GAP = 24
ROW = 28
MARGIN = 40
WIDTH = 2 * MARGIN + 3 * PANEL + 2 * GAP
PAPER, INK, SOFT, LINE, ACCENT = "#f6f5f2", "#22242a", "#6b6f7a", "#d9d7d0", "#c2410c"
ERROR_WHITE = 0.25
"""The absolute error, of a channel in [0, 1], that is brightest in the error picture."""


@dataclass(frozen=True)
class Panel:
    """A square picture and its caption."""

    picture: Image.Image
    caption: str
    detail: str = ""


@dataclass(frozen=True)
class Curve:
    """PSNR over training seconds."""

    seconds: list[float]
    psnr: list[float]


@dataclass
class Report:
    """Everything on the sheet."""

    title: str
    subtitle: str
    rows: list[list[Panel]]
    curve: Curve | None
    """Without one the figures take its place, in three columns."""
    figures: list[tuple[str, str]] = field(default_factory=list)


def draw(report: Report, path: Path) -> None:
    """Writes the sheet as a PNG."""
    lines = len(report.figures) if report.curve else -(-len(report.figures) // 3)
    below = max(330 if report.curve else 0, ROW * lines + 10)
    height = MARGIN + 84 + len(report.rows) * (PANEL + 66) + below + MARGIN
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 8), report.title, font=font(38), fill=INK)
    pen.text((MARGIN, MARGIN + 42), report.subtitle, font=font(19), fill=SOFT)
    top = MARGIN + 84
    for panels in report.rows:
        for column, panel in enumerate(panels[:3]):
            place(sheet, panel, (MARGIN + column * (PANEL + GAP), top))
        top += PANEL + 66
    if report.curve is not None:
        plot_width = 2 * PANEL + GAP
        plot(pen, report.curve, (MARGIN, top, MARGIN + plot_width, top + below))
        list_figures(pen, report.figures, (MARGIN + plot_width + GAP, top))
    else:
        for column in range(3):
            figures = report.figures[column * lines : (column + 1) * lines]
            list_figures(pen, figures, (MARGIN + column * (PANEL + GAP), top))
    temporary = path.with_name(f".{path.name}.part")
    sheet.save(temporary, format="PNG", optimize=True)
    temporary.replace(path)


def write_small(sheet: Path, path: Path) -> None:
    """A copy in 256 colours, a third of the size, for the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(sheet) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
            path, format="PNG", optimize=True
        )


def place(sheet: Image.Image, panel: Panel, corner: tuple[int, int]) -> None:
    """A picture fitted into its square, with its caption below."""
    left, top = corner
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((left, top, left + PANEL - 1, top + PANEL - 1), fill="#ffffff")
    picture = panel.picture
    scale = PANEL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    spot = (left + (PANEL - size[0]) // 2, top + (PANEL - size[1]) // 2)
    sheet.paste(picture, spot, picture if picture.mode == "RGBA" else None)
    pen.rectangle((left, top, left + PANEL - 1, top + PANEL - 1), outline=LINE)
    pen.text((left, top + PANEL + 8), panel.caption, font=font(20), fill=INK)
    detail = font(17)
    width = pen.textlength(panel.detail, font=detail)
    pen.text((left + PANEL - width, top + PANEL + 11), panel.detail, font=detail, fill=SOFT)


def plot(pen: ImageDraw.ImageDraw, curve: Curve, box: tuple[int, int, int, int]) -> None:
    """The PSNR curve with its grid."""
    left, top, right, bottom = box
    pen.text((left, top), "PSNR on held-out views (dB)", font=font(20), fill=INK)
    inner = (left + 44, top + 40, right - 12, bottom - 44)
    small = font(16)
    if len(curve.psnr) < 2:
        pen.text((inner[0], inner[1]), "not measured during training", font=small, fill=SOFT)
        return
    most = max(curve.seconds)
    low, high = np.floor(min(curve.psnr)), np.ceil(max(curve.psnr))
    step = nice_step(high - low, 5)
    low, high = np.floor(low / step) * step, np.ceil(high / step) * step

    def at(seconds: float, psnr: float) -> tuple[float, float]:
        x = inner[0] + (inner[2] - inner[0]) * seconds / most
        return x, inner[3] - (inner[3] - inner[1]) * (psnr - low) / max(high - low, 1e-9)

    for value in np.arange(low, high + step / 2, step):
        y = at(0, value)[1]
        pen.line((inner[0], y, inner[2], y), fill=LINE)
        label = f"{value:g}"
        pen.text((inner[0] - 10 - pen.textlength(label, small), y - 9), label, SOFT, font=small)
    time_step = nice_step(most, 7)
    for value in np.arange(0, most + 1e-9, time_step):
        x = at(value, low)[0]
        pen.line((x, inner[3], x, inner[3] + 5), fill=SOFT)
        label = f"{value:g}"
        pen.text((x - pen.textlength(label, small) / 2, inner[3] + 10), label, SOFT, font=small)
    axis = "seconds of training"
    pen.text((inner[2] - pen.textlength(axis, small), bottom - 14), axis, SOFT, font=small)
    points = [at(s, p) for s, p in zip(curve.seconds, curve.psnr, strict=True)]
    pen.line(points, fill=ACCENT, width=3, joint="curve")
    for x, y in points:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ACCENT)


def list_figures(
    pen: ImageDraw.ImageDraw, figures: list[tuple[str, str]], corner: tuple[int, int]
) -> None:
    """Name on the left, value on the right, a line a figure."""
    left, top = corner
    normal = font(17)
    for name, value in figures:
        pen.text((left, top), name, font=normal, fill=SOFT)
        width = pen.textlength(value, font=normal)
        pen.text((left + PANEL - width, top), value, font=normal, fill=INK)
        pen.line((left, top + ROW - 5, left + PANEL, top + ROW - 5), fill=LINE)
        top += ROW


def error_picture(truth: Image.Image, seen: Image.Image) -> Image.Image:
    """The largest absolute error of each pixel's channels, over white, from black to yellow."""
    error = np.abs(on_white(truth) - on_white(seen)).max(axis=-1)
    return Image.fromarray((255 * heat(error / ERROR_WHITE)).astype(np.uint8))


def psnr_between(truth: Image.Image, seen: Image.Image) -> float:
    """Decibels, over white."""
    return float(-10 * np.log10(np.square(on_white(truth) - on_white(seen)).mean() + 1e-12))


def on_white(picture: Image.Image) -> NDArray[np.float64]:
    """RGB in [0, 1], (height, width, 3)."""
    values = np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255
    return values[..., :3] * values[..., 3:] + 1 - values[..., 3:]


def heat(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Black, violet, red, orange, yellow: dark where pictures agree."""
    stops = np.array([[8, 6, 22], [84, 18, 110], [188, 48, 72], [248, 136, 14], [252, 246, 158]])
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(np.clip(share, 0, 1), places, stops[:, i] / 255) for i in range(3)]
    return np.stack(channels, axis=-1)


def nice_step(extent: float, most_steps: int) -> float:
    """1, 2 or 5 times a power of ten, so that `most_steps` of them span `extent`."""
    rough = max(extent, 1e-9) / most_steps
    power = 10 ** np.floor(np.log10(rough))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one that Pillow brings along: no other is sure to be there."""
    return ImageFont.load_default(size)
