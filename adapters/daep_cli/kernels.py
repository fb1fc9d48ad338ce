"""Reading blur kernels and masks, and checking them before anything expensive starts."""

from __future__ import annotations

import math
import textwrap
import warnings
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.images import SUFFIXES, Array, read_photo
from daep_cli.kernel_photo import read_spot
from daep_cli.kernel_shapes import SHAPES, draw_kernel
from daep_deepinv import as_filter

__all__ = ["as_kernel", "check_kernel_fits", "check_mask_fits", "kernel_path", "read_kernel", "read_mask"]

#: What stands before the name of a photograph of a point of light.
SPOT = "spot"
#: No blur kernel comes near this size in bytes; an archive that unpacks to more is damaged or hostile.
MAX_UNPACKED = 64 * 2**20
#: Of its peak, the ground that a photograph of a point of light is told from a kernel by.
BRIGHT_GROUND = (0.02, 0.5)


def read_kernel(name: str) -> npt.NDArray[np.float64]:
    """The blur kernel that a name means:

    * a file of it: an image, a ``.npy``, a ``.txt`` of numbers, or a ``.npz``, where one of several is named behind a
      colon, ``levin.npz:k4``;
    * a shape: ``motion:15:30``, ``gaussian:1.6``, ``disk:4`` (:mod:`daep_cli.kernel_shapes`);
    * a photograph of a point of light: ``spot:PHOTO`` (:mod:`daep_cli.kernel_photo`).

    :param str name: see above; a file of that very name comes first.
    :return: (h, w), both odd, sum 1. It is the filter of a true convolution: the picture that a point of light,
        photographed with this blur, makes.
    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, not a single plane of finite numbers, or without a positive sum.
    """
    prefix, _, rest = name.partition(":")
    if not Path(name).exists():
        if prefix in SHAPES:
            return draw_kernel(name)
        if prefix == SPOT:
            return read_spot(Path(rest))
    path = kernel_path(name) or Path(name)
    key = name[len(str(path)) + 1 :] if name != str(path) else ""
    if not path.exists():
        shapes = ", ".join(example for _, _, example in SHAPES.values())
        raise FileNotFoundError(f"--kernel {name}: no such file, and no shape such as {shapes}.")
    if key and path.suffix.lower() != ".npz":
        raise ValueError(f"--kernel {name}: only an .npz archive holds several kernels; leave :{key} out.")
    values = _read_numbers(path, key)
    kernel = as_kernel(values, name)
    if _is_image(name) and (ground := _ground(values)):
        warnings.warn(
            f"--kernel {name}: its border is not black ({100 * ground:.0f} % of its peak), which blurs the whole "
            f"picture; if it is a photograph of a point of light, give spot:{name}.",
            stacklevel=2,
        )
    return kernel


def _ground(values: Array) -> float:
    """The level of a bright ground around a spot, as a share of the peak; 0 if there is none.

    Shapes that are cut to their size may touch the border anywhere, but most of their pixels are brighter than it.
    """
    border = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    level = float(np.quantile(border, 0.1))
    low, high = BRIGHT_GROUND
    spread = low * values.max() < level < high * values.max() and np.median(values) < 2 * level
    return level / float(values.max()) if spread else 0.0


def _read_numbers(path: Path, key: str) -> Array:
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz", ".txt"):
        with named("--kernel ", path):
            return read_photo(path).colour.mean(axis=2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty files, which are refused below, and of odd headers
            if suffix == ".txt":
                return np.loadtxt(path, ndmin=2, dtype=np.float64)
            if suffix == ".npz":
                return _read_archive(path, key)
            # mapped, so that a header that lies about the size is found out before any memory is reserved
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except _Unclear:
        raise
    except PermissionError:
        raise
    except Exception as error:  # the header of an array is a Python literal: damage there raises many kinds
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(
            f"--kernel {path}: not a readable {suffix} file, or damaged ({reason}); write it again."
        ) from error


class _Unclear(ValueError):
    """The archive is intact, but which kernel is meant is not."""


def _read_archive(path: Path, key: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
            raise ValueError("it unpacks to more than any blur kernel needs")
        for entry in archive.infolist():
            _check_header(archive, entry)
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays.files)
        if not key and len(names) == 1:
            key = names[0]
        if key not in names:
            example = f"{path}:{names[0]}" if names else "another file"
            raise _Unclear(f"--kernel {path}: holds {', '.join(names) or 'nothing'}; say which one, as in {example}.")
        return np.array(arrays[key])


def _check_header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """That an array of an archive is no larger than its bytes, before NumPy reserves memory for it."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > entry.file_size:
        raise ValueError(f"its header promises an array of shape {shape}, more than the file holds")


def as_kernel(values: Array, name: str) -> npt.NDArray[np.float64]:
    """Check a kernel, normalise it to sum 1, and pad even sides to odd ones.

    :param values: (h, w) numbers.
    :param str name: for messages.
    :raises ValueError: wrong shape or type, NaN, infinity, or a sum that is not positive.
    """
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "buif":
        raise ValueError(
            f"--kernel {name}: got {values.dtype} of shape {values.shape}; expected a table of numbers (height, width)."
        )
    try:
        kernel = as_filter(values.astype(np.float64))[0, 0].double().numpy()
    except ValueError as error:
        raise ValueError(f"--kernel {name}: {str(error).removeprefix('kernel: ')}") from error
    # the centre of an even side 2m is m, in deepinv's Blur as in MATLAB; a zero behind makes that the middle of 2m + 1
    return np.pad(kernel, [(0, 1 - side % 2) for side in kernel.shape])


def check_kernel_fits(kernel: Array, size: tuple[int, int], name: str) -> None:
    """Refuse a kernel that is larger than the photograph.

    :param tuple size: (width, height) of the photograph.
    :raises ValueError: it does not fit.
    """
    height, width = kernel.shape
    if width > size[0] or height > size[1]:
        photo = f", or if it is a photograph of a point of light, give spot:{name}" if _is_image(name) else ""
        raise ValueError(
            f"--kernel {name}: {width} x {height}, larger than the image of {size[0]} x {size[1]} pixels; "
            f"cut off its empty border{photo}."
        )


def _is_image(name: str) -> bool:
    """Whether the name of a kernel is that of an image file."""
    path = Path(name)
    return kernel_path(name) == path and path.suffix.lower() in SUFFIXES


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask image: white (brighter than half) is known, black is missing.

    :return: (H, W), true where the pixel is known.
    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, or no pixel is known.
    """
    with named("--mask ", path):
        photo = read_photo(path)
    known = photo.colour.mean(axis=2) > photo.largest / 2
    if not known.any():
        raise ValueError(f"--mask {path}: no pixel is white, so nothing of the image is known; paint white what is.")
    return known


def check_mask_fits(mask: Array, size: tuple[int, int], name: Path) -> None:
    """Refuse a mask of another size than the photograph's ``(width, height)``.

    :raises ValueError: the sizes differ.
    """
    height, width = mask.shape
    if (width, height) != size:
        raise ValueError(
            f"--mask {name}: {width} x {height} pixels, but the image has {size[0]} x {size[1]}; make them equal."
        )


def kernel_path(name: str) -> Path | None:
    """The file that a kernel's name means, without what stands before or behind it; ``None`` for a shape."""
    path, (prefix, _, rest) = Path(name), name.partition(":")
    if path.exists():
        return path
    if prefix == SPOT:
        return Path(rest)
    if prefix in SHAPES:
        return None
    return Path(name.rpartition(":")[0]) if ":" in path.name else path
