"""The picture of the demonstration: images side by side, with text below them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from daep_cli.photographs.photo import Array

#: Pixels between the images and around them, and between the lines of text.
MARGIN, GAP = 12, 4
#: Points of the title and of the line below it.
TITLE, LINE = 17, 15


def with_inset(image: Array, kernel: Array) -> Array:
    """``image`` (H, W, 3) with the magnified kernel (h, w) in its upper left corner, if there is room."""
    magnify = image.shape[0] // (3 * kernel.shape[0])
    if magnify < 1:
        return image
    # the square root makes weak parts visible
    inset = np.kron(np.sqrt(kernel / kernel.max()), np.ones((magnify, magnify)))
    framed = np.pad((255 * inset).round().astype(np.uint8), 1, constant_values=160)
    out = image.copy()
    out[: framed.shape[0], : framed.shape[1]] = framed[..., None]
    return out


def side_by_side(panels: list[tuple[str, str, Array]]) -> Array:
    """One picture (H, W, 3) of several panels.

    :param panels: (title, second line, pixels (H, W, 3) uint8), all of the same height.
    """
    height = panels[0][2].shape[0]
    fonts = [ImageFont.load_default(points) for points in (TITLE, LINE)]
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))

    def box(text: str, line: int) -> tuple[int, int]:
        _, _, right, bottom = ruler.textbbox((0, 0), text, font=fonts[line])
        return int(right) + 1, int(bottom) + 1

    # at least as wide as the text, so that no text is cut
    widths = [max(pixels.shape[1], box(title, 0)[0], box(line, 1)[0]) for title, line, pixels in panels]
    heights = [box("dB,gp", line)[1] for line in (0, 1)]
    size = (sum(widths) + MARGIN * (len(panels) + 1), height + sum(heights) + 2 * MARGIN + 2 * GAP)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    left = MARGIN
    for width, (title, line, pixels) in zip(widths, panels, strict=True):
        picture.paste(Image.fromarray(pixels), (left + (width - pixels.shape[1]) // 2, MARGIN))
        middle, top = left + width / 2, MARGIN + height + GAP
        draw.text((middle, top), title, font=fonts[0], fill="black", anchor="ma")
        draw.text((middle, top + heights[0] + GAP), line, font=fonts[1], fill=(90, 90, 90), anchor="ma")
        left += width + MARGIN
    return np.asarray(picture)
