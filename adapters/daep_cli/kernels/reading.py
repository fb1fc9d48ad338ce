"""Read blur kernels, and check them."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.kernels.number_files import NUMBER_SUFFIXES, read_numbers
from daep_cli.kernels.shapes import SHAPES, draw_kernel
from daep_cli.photographs.photo import SUFFIXES, Array
from daep_cli.photographs.reading import read_photo

#: Prefix of the name of a photograph of a point of light.
SPOT = "spot"
#: An image with a border between these shares of its peak may be a photograph of a point of light.
BRIGHT_BORDER = (0.02, 0.5)


def read_kernel(name: str) -> npt.NDArray[np.float64]:
    """The blur kernel of a name:

    * a file: an image, ``.npy``, ``.txt``, or ``.npz``, where a colon precedes the key of one of several kernels,
      ``levin.npz:k4``;
    * a shape: ``motion:15:30``, ``gaussian:1.6``, ``disk:4`` (:mod:`daep_cli.kernels.shapes`);
    * a photograph of a point of light: ``spot:PHOTO`` (:mod:`daep_cli.kernels.point_of_light`).

    :param str name: see above; an existing file of that very name has precedence.
    :return: filter of a true convolution, the image of a point of light; (h, w), both odd, sum 1.
    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, not one plane of finite numbers, or without a positive sum.
    """
    prefix, _, rest = name.partition(":")
    if not Path(name).exists():
        if prefix in SHAPES:
            return draw_kernel(name)
        if prefix == SPOT:
            from daep_cli.kernels.point_of_light import read_spot

            return read_spot(Path(rest))
    path = kernel_path(name) or Path(name)
    key = name[len(str(path)) + 1 :] if name != str(path) else ""
    if not path.exists():
        shapes = ", ".join(example for _, _, example in SHAPES.values())
        raise FileNotFoundError(f"--kernel {name}: no such file, and no shape such as {shapes}.")
    if key and path.suffix.lower() != ".npz":
        raise ValueError(f"--kernel {name}: only an .npz archive contains several kernels; leave :{key} out.")
    with named("--kernel ", path):
        numbers = path.suffix.lower() in NUMBER_SUFFIXES
        values = read_numbers(path, key) if numbers else read_photo(path).colour.mean(axis=2)
    kernel = as_kernel(values, name)
    if is_image(name) and (border := _bright_border(values)):
        warnings.warn(
            f"--kernel {name}: its border is not black ({100 * border:.0f} % of its peak), so it blurs the whole "
            f"image; if it is a photograph of a point of light, give spot:{name}.",
            stacklevel=2,
        )
    return kernel


def _bright_border(values: Array) -> float:
    """Level of a bright background around a point of light, relative to the peak; 0 if there is none.

    A kernel that is cut to its size may touch the border, but most of its pixels are brighter than the border.
    """
    border = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    level, peak = float(np.quantile(border, 0.1)), float(values.max())
    low, high = BRIGHT_BORDER
    return level / peak if low * peak < level < high * peak and np.median(values) < 2 * level else 0.0


def as_kernel(values: Array, name: str) -> npt.NDArray[np.float64]:
    """Check a kernel (h, w), normalise it to sum 1, and pad even sides to odd ones.

    :raises ValueError: wrong shape or type, NaN, infinity, or a sum that is not positive.
    """
    from daep_deepinv import as_filter

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
    # the centre of an even side 2m is m, in deepinv's Blur as in MATLAB; a zero at the end makes it that of 2m + 1
    return np.pad(kernel, [(0, 1 - side % 2) for side in kernel.shape])


def check_kernel_fits(kernel: Array, size: tuple[int, int], name: str) -> None:
    """Refuse a kernel that is larger than the photograph of ``size`` (width, height)."""
    height, width = kernel.shape
    if width > size[0] or height > size[1]:
        photo = f", or if it is a photograph of a point of light, give spot:{name}" if is_image(name) else ""
        raise ValueError(
            f"--kernel {name}: {width} x {height}, larger than the image of {size[0]} x {size[1]} pixels; "
            f"cut off its empty border{photo}."
        )


def kernel_path(name: str) -> Path | None:
    """The file in the name of a kernel, without prefix or key; ``None`` for a shape."""
    path, (prefix, _, rest) = Path(name), name.partition(":")
    if path.exists():
        return path
    if prefix == SPOT:
        return Path(rest)
    if prefix in SHAPES:
        return None
    return Path(name.rpartition(":")[0]) if ":" in path.name else path


def is_image(name: str) -> bool:
    """Whether the name of a kernel is that of an image file."""
    path = Path(name)
    return kernel_path(name) == path and path.suffix.lower() in SUFFIXES
