"""Describe, sketch and encode a blur kernel."""

import io
import math

import numpy as np
import numpy.typing as npt

from daep_cli.photographs.photo import FITS, PNG, TIFF, Photo
from daep_cli.photographs.writing import encode

Kernel = npt.NDArray[np.float64]

#: Suffixes of the files that a kernel is written to. JPEG would change the kernel.
WRITABLE = frozenset(PNG | TIFF | FITS | {".npy", ".txt", ".csv"})
#: Characters of a sketch, from 0 to the peak.
SHADES = " .:-=+*#%@"
#: Characters in the widest line of a sketch. A character is about twice as high as wide.
SKETCH_WIDTH = 64


def facts(kernel: Kernel) -> dict[str, str]:
    """What to know about a kernel (h, w) of sum 1: name -> text."""
    height, width = kernel.shape
    down, right = (np.arange(n) - (n - 1) / 2 for n in kernel.shape)
    x, y = float(kernel.sum(0) @ right), float(kernel.sum(1) @ down)
    off = np.stack(np.broadcast_arrays(right[None, :] - x, y - down[:, None]))
    # a measured kernel may have negative values, so a variance may be negative
    (narrow, wide), axes = np.linalg.eigh(np.einsum("ihw,jhw,hw->ij", off, off, kernel))
    narrow, wide = (math.sqrt(max(0.0, v)) for v in (narrow, wide))
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 180
    spread = f"{wide:.2f} pixels (standard deviation)"
    if wide - narrow > 0.05 * wide:
        spread = f"{wide:.2f} by {narrow:.2f} pixels (standard deviations), the longer at {angle:.0f} degrees"
    centre = "in the middle"
    if math.hypot(x, y) >= 0.005:
        centre = f"{_side(x, 'right', 'left')} of the middle, {_side(y, 'below', 'above')} it"
        if max(abs(x), abs(y)) <= 0.5:
            centre = f"in the middle pixel: {centre}"
    found = {
        "size": f"{width} x {height} pixels (width x height)",
        "sum": f"{kernel.sum():.4f}",
        "peak": f"{kernel.max():.4f}",
        "centre of mass": centre,
        "width": spread,
    }
    if kernel.min() < -1e-6:
        found["negative"] = f"values down to {kernel.min():.4f}; a blur kernel has none"
    if math.hypot(x, y) > 1:
        found["note"] = "the restored image is shifted by as much in the opposite direction"
    return found


def _side(offset: float, positive: str, negative: str) -> str:
    return f"{abs(offset):.2f} pixels {positive if offset >= 0 else negative}"


def sketch(kernel: Kernel) -> list[str]:
    """The kernel as lines of text. Two characters are one pixel, or one character is several if the kernel is large."""
    block = math.ceil(2 * kernel.shape[1] / SKETCH_WIDTH)
    rows, columns = (math.ceil(n / block) for n in kernel.shape)
    padded = np.pad(kernel.clip(0), ((0, rows * block - kernel.shape[0]), (0, columns * block - kernel.shape[1])))
    means = padded.reshape(rows, block, columns, block).mean((1, 3))
    # the square root makes weak parts visible
    shades = np.ceil(np.sqrt(means / means.max()) * (len(SHADES) - 1)).astype(int)
    return ["".join(2 * SHADES[shade] for shade in row) for row in shades]


def encode_kernel(kernel: Kernel, suffix: str) -> bytes:
    """The bytes of a file with this suffix, one of ``WRITABLE``.

    PNG has 16 bits and a white peak, TIFF and FITS have floats of sum 1.
    """
    suffix = suffix.lower()
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, kernel)
        return buffer.getvalue()
    if suffix in (".txt", ".csv"):
        text = io.StringIO()
        np.savetxt(text, kernel, fmt="%.9g", delimiter="," if suffix == ".csv" else " ")
        return text.getvalue().encode()
    if suffix in FITS | TIFF:
        return encode(Photo(kernel.astype(np.float32)[..., None]), suffix)
    scaled = (kernel.clip(0) / kernel.max() * np.iinfo(np.uint16).max).round().astype(np.uint16)
    return encode(Photo(scaled[..., None]), suffix)
