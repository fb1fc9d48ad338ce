"""Read blur kernels, and check them."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.kernels.blind import BLIND, read_blind
from daep_cli.kernels.cleaning import cleaned
from daep_cli.kernels.number_files import NUMBER_SUFFIXES, read_numbers
from daep_cli.kernels.shapes import SHAPES, draw_kernel
from daep_cli.photographs.photo import READABLE, Array, Photo
from daep_cli.photographs.reading import count_pages, read_photo

Kernel = npt.NDArray[np.float64]

#: Prefix of the name of a photograph of a point of light.
SPOT = "spot"
#: Kernels of a stack, at most. No file of a kernel needs more.
MOST_KERNELS = 2**14
#: Difference of colours, relative to the peak, above which an image is one kernel a channel.
COLOURED = 0.02


def read_kernel(name: str, size: int | None = None) -> Kernel:
    """The blur kernel of a name:

    * a file: an image, ``.npy``, ``.txt``, ``.csv``, or ``.npz``, where a colon precedes the key of one of several
      kernels, ``levin.npz:k4``. A file of several pages or planes, or a coloured image, contains several kernels;
    * a shape: ``motion:15:30``, ``gaussian:1.6``, ``disk:4`` (:mod:`daep_cli.kernels.shapes`);
    * a photograph of a point of light: ``spot:PHOTO`` (:mod:`daep_cli.kernels.point_of_light`);
    * a photograph with that blur: ``blind:PHOTO`` (:mod:`daep_cli.kernels.blind`).

    What is no kernel in it is removed, with a warning, see :mod:`daep_cli.kernels.cleaning`.

    :param str name: see above; an existing file of that very name has precedence.
    :param int size: of ``blind``: side of the largest kernel that is sought.
    :return: filter of a true convolution, the image of a point of light; (h, w), or (N, h, w) for several; both sides
        odd, each of sum 1.
    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, not planes of finite numbers, or without a positive sum.
    """
    prefix, _, rest = name.partition(":")
    if not Path(name).exists():
        if prefix in SHAPES:
            return draw_kernel(name)
        if prefix in (BLIND, SPOT) and not rest:
            raise ValueError(f"--kernel {name} names no photograph; expected one, as in {prefix}:photo.png.")
        if prefix == BLIND:
            return read_blind(Path(rest), size)
        if prefix == SPOT:
            from daep_cli.kernels.point_of_light import read_spot

            return read_spot(Path(rest))
    path = check_exists(name) or Path(name)
    key = name[len(str(path)) + 1 :] if name != str(path) else ""
    if key and path.suffix.lower() != ".npz":
        raise ValueError(f"--kernel {name}: only an .npz archive contains several kernels; leave :{key} out.")
    with named("--kernel ", path):
        values = read_numbers(path, key) if path.suffix.lower() in NUMBER_SUFFIXES else _image_planes(path)
    planes = _planes(values, name)
    done = [cleaned(plane, name, is_image(name)) for plane in planes]
    for remark in dict.fromkeys(remark for _, remark in done if remark):
        warnings.warn(remark, stacklevel=2)
    kernels = np.stack([as_kernel(plane, name) for plane, _ in done])
    return kernels[0] if len(kernels) == 1 else kernels


def _image_planes(path: Path) -> Array:
    """The planes (N, h, w) of an image file: of its pages, or of its channels if they differ."""
    pages = count_pages(path)
    if pages > MOST_KERNELS:
        raise ValueError(f"{path}: contains {pages} images; expected at most {MOST_KERNELS} kernels.")
    if pages > 1:
        planes = [_light(read_photo(path, page)).mean(axis=2) for page in range(pages)]
        if len({plane.shape for plane in planes}) > 1:
            raise ValueError(f"{path}: its pages have different sizes; make them equal.")
        return np.stack(planes)
    light = _light(read_photo(path))
    spread = np.ptp(light, axis=2).max() if light.size else 0.0
    coloured = light.shape[2] > 1 and spread > COLOURED * light.max() and bool((light.sum(axis=(0, 1)) > 0).all())
    return np.moveaxis(light, -1, 0) if coloured else light.mean(axis=2)[None]


def _light(photo: Photo) -> npt.NDArray[np.float64]:
    """The colours (h, w, C) as they look before black; of black strokes on a transparent ground, the opacity."""
    colour = photo.with_nan().astype(np.float64)
    if photo.alpha is None:
        return colour
    opacity = (photo.alpha / photo.largest)[..., None]
    light: npt.NDArray[np.float64] = colour * opacity
    return light if light.max() > 0 else opacity * photo.largest


def _planes(values: Array, name: str) -> Array:
    """Planes (N, h, w) of an array (h, w), (N, h, w), (h, w, C), or (1, C, h, w) as of deepinv's blurs."""
    if values.ndim == 4 and len(values) == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[2] in (1, 3) and min(values.shape[:2]) > values.shape[2]:
        values = np.moveaxis(values, -1, 0)
    planes = values[None] if values.ndim == 2 else values
    if planes.ndim != 3 or planes.size == 0 or values.dtype.kind not in "buif" or len(planes) > MOST_KERNELS:
        raise ValueError(
            f"--kernel {name}: got {values.dtype} of shape {values.shape}; expected a table of numbers (height, "
            "width), or (kernels, height, width)."
        )
    return planes


def as_kernel(values: Array, name: str) -> Kernel:
    """Check a kernel (h, w), normalise it to sum 1, and pad even sides to odd ones.

    :raises ValueError: wrong shape or type, NaN, infinity, or a sum that is not positive.
    """
    from daep_deepinv import as_filter

    try:
        kernel = as_filter(values.astype(np.float64))[0, 0].double().numpy()
    except ValueError as error:
        raise ValueError(f"--kernel {name}: {str(error).removeprefix('kernel: ')}") from error
    # the centre of an even side 2m is m, in deepinv's Blur as in MATLAB; a zero at the end makes it that of 2m + 1
    return np.pad(kernel, [(0, 1 - side % 2) for side in kernel.shape])


def check_exists(name: str) -> Path | None:
    """The file in the name of a kernel, see :func:`kernel_path`; photographs of ``spot`` and ``blind`` may be missing.

    :raises FileNotFoundError: the kernel is neither a file nor a shape.
    """
    path = kernel_path(name)
    if path is not None and not path.exists() and name.partition(":")[0] not in (SPOT, BLIND):
        shapes = ", ".join(example for _, _, example in SHAPES.values())
        raise FileNotFoundError(f"--kernel {name}: no such file, and no shape such as {shapes}.")
    return path


def kernel_path(name: str) -> Path | None:
    """The file in the name of a kernel, without prefix or key; ``None`` for a shape."""
    path, (prefix, _, rest) = Path(name), name.partition(":")
    if path.exists():
        return path
    if prefix == SPOT or (prefix == BLIND and rest):
        return Path(rest)
    if prefix in SHAPES or name == BLIND:
        return None
    for place in (i for i, character in enumerate(name) if character == ":"):  # a key may contain colons and slashes
        if Path(name[:place]).is_file():
            return Path(name[:place])
    return Path(name.rpartition(":")[0]) if ":" in path.name else path


def is_image(name: str) -> bool:
    """Whether the name of a kernel is that of an image file."""
    path = Path(name)
    return kernel_path(name) == path and path.suffix.lower() in READABLE
