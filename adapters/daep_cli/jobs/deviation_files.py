"""The standard deviation of each pixel as a file: a heat map with a legend, or a TIFF of 16 bits."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from daep_cli.photographs.metadata import DESCRIPTION, NOTHING
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.tiff_writing import ASCII, encode_tiff

#: Sides in dots between which a heat map is drawn, and dots an inch. Small images are enlarged.
SMALLEST, LARGEST, DPI = 480, 1600, 100
#: Share of the pixels that the legend covers; the few above have its last colour.
COVERED = 0.995
#: Width in dots of the legend with its text.
LEGEND = 110
#: The largest value of the TIFF.
TOP = 65535


def heat_map(deviation: npt.NDArray[Any], black: float, white: float) -> bytes:
    """A PNG: dark where the restoration is sure, bright where it is not, with a legend in grey levels of the file.

    :param deviation: (H, W, C), white is 1; drawn is its root mean square over the channels.
    :param float black: with ``white``, the values of the file.
    """
    from matplotlib.figure import Figure

    shown = np.sqrt(np.mean(np.square(deviation), axis=2)) * (white - black)
    height, width = shown.shape
    enlarged = np.clip(max(height, width), SMALLEST, LARGEST) / max(height, width)
    size = ((width * enlarged + LEGEND) / DPI, max(height * enlarged, SMALLEST / 2) / DPI)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    top = float(np.quantile(shown, COVERED)) or 1.0
    drawn = axes.imshow(shown, cmap="inferno", vmin=0, vmax=top, interpolation="nearest")
    axes.set_axis_off()
    bar = figure.colorbar(drawn, extend="max" if shown.max() > top else "neither", shrink=0.9)
    bar.set_label(f"standard deviation, grey levels (white: {white:g})")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def deviation_tiff(deviation: npt.NDArray[Any], black: float, white: float) -> bytes:
    """A TIFF of 16 bits; its description says what a step is.

    :param deviation: (H, W, C), white is 1. One of 1 is stored as 65535.
    :param float black: with ``white``, the values of the file.
    """
    step = (white - black) / TOP
    text = f"Standard deviation of each pixel in steps of {step:.6g} grey levels; {TOP} are {white - black:g}, white."
    content = text.encode() + b"\0"
    values = (deviation.clip(0, 1) * TOP).round().astype(np.uint16)
    metadata = replace(NOTHING, tags=((DESCRIPTION, ASCII, len(content), content),))
    return encode_tiff(Photo(values, metadata=metadata))
