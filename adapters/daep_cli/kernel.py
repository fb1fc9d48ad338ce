"""``daep kernel``: draw, inspect and save a blur kernel."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from daep_cli.errors import one_line
from daep_cli.images import SUFFIXES, Photo, encode
from daep_cli.kernels import kernel_path, read_kernel
from daep_cli.outputs import check_output_file, write_whole

__all__ = ["encode_kernel", "facts", "run_kernel", "sketch"]

Kernel = npt.NDArray[np.float64]

#: Formats a kernel is written in; JPEG would change it.
WRITABLE = frozenset({*SUFFIXES, ".npy", ".txt"} - {".jpg", ".jpeg"})
#: From nothing to the peak.
SHADES = " .:-=+*#%@"
#: Characters across the widest sketch. A character is about twice as high as it is wide.
SKETCH_WIDTH = 64


def run_kernel(name: str, output: Path | None = None, overwrite: bool = False) -> Iterator[str]:
    """Read or draw a kernel, tell about it, and write it if asked.

    :param str name: see :func:`daep_cli.kernels.read_kernel`.
    :return: lines of text.
    :raises ValueError: unusable kernel or output.
    """
    if output is not None:
        check_output_file(output, WRITABLE, (kernel_path(name),), overwrite)
    kernel = read_kernel(name)
    yield from sketch(kernel)
    facts_of = facts(kernel)
    width = max(map(len, facts_of))
    for title, value in facts_of.items():
        yield f"{title:<{width}}  {value}"
    if output is not None:
        write_whole(output, encode_kernel(kernel, output.suffix), overwrite)
        yield one_line(f"wrote {output}")


def facts(kernel: Kernel) -> dict[str, str]:
    """What can be said of a kernel (h, w) of sum 1, by name."""
    height, width = kernel.shape
    down, right = (np.arange(n) - (n - 1) / 2 for n in kernel.shape)
    weights = (kernel.sum(0), kernel.sum(1))
    x, y = float(weights[0] @ right), float(weights[1] @ down)
    off = np.stack(np.broadcast_arrays(right[None, :] - x, y - down[:, None]))
    # negative values, which a measured kernel may have, can make a variance negative
    (narrow, wide), axes = np.linalg.eigh(np.einsum("ihw,jhw,hw->ij", off, off, kernel))
    narrow, wide = (math.sqrt(max(0.0, v)) for v in (narrow, wide))
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 180
    spread = f"{wide:.2f} pixels (standard deviation)"
    if wide - narrow > 0.05 * wide:
        spread = f"{wide:.2f} by {narrow:.2f} pixels (standard deviations), the longer at {angle:.0f} degrees"
    told = {
        "size": f"{width} x {height} pixels (width x height)",
        "sum": f"{kernel.sum():.4f}",
        "peak": f"{kernel.max():.4f}",
        "centre of mass": "in the middle"
        if math.hypot(x, y) < 0.005
        else f"{_side(x, 'right', 'left')} of the middle, {_side(y, 'below', 'above')} it",
        "width": spread,
    }
    if kernel.min() < -1e-6:
        told["negative"] = f"values down to {kernel.min():.4f}: light cannot be negative; is it a blur kernel?"
    if math.hypot(x, y) > 1:
        told["note"] = (
            "the restored image is shifted by as much the other way, which matters only beside the blurred one"
        )
    return told


def _side(offset: float, positive: str, negative: str) -> str:
    return f"{abs(offset):.2f} pixels {positive if offset >= 0 else negative}"


def sketch(kernel: Kernel) -> list[str]:
    """The kernel in characters, two for each pixel, or one for several if it is large. Lines without an end."""
    block = math.ceil(2 * kernel.shape[1] / SKETCH_WIDTH) if 2 * kernel.shape[1] > SKETCH_WIDTH else 1
    rows, columns = (math.ceil(n / block) for n in kernel.shape)
    padded = np.pad(kernel.clip(0), ((0, rows * block - kernel.shape[0]), (0, columns * block - kernel.shape[1])))
    means = padded.reshape(rows, block, columns, block).mean((1, 3))
    # the square root shows the faint parts of the path too
    shades = np.ceil(np.sqrt(means / means.max()) * (len(SHADES) - 1)).astype(int)
    return ["".join(2 * SHADES[shade] for shade in row) for row in shades]


def encode_kernel(kernel: Kernel, suffix: str) -> bytes:
    """The bytes of the file that ends in ``suffix``. Images have 16 bits and a white peak."""
    suffix = suffix.lower()
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, kernel)
        return buffer.getvalue()
    if suffix == ".txt":
        text = io.StringIO()
        np.savetxt(text, kernel, fmt="%.9g")
        return text.getvalue().encode()
    scaled = (kernel.clip(0) / kernel.max() * np.iinfo(np.uint16).max).round().astype(np.uint16)
    return encode(Photo(scaled[..., None]), suffix)
