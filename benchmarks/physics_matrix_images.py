"""Small test images of every kind for ``physics_matrix.py``: crops of scikit-image's photographs."""

import numpy as np
import torch
from deepinv.utils import TensorList
from protocol import as_tensor
from skimage import data
from torch import Tensor

#: Pixels, height and width.
SIZE = 64
#: Bands of the spectral image, slices of the volume, frames of the film.
BANDS, SLICES, FRAMES = 7, 6, 4
#: First row and column of the crops: the eye of the cat, the camera.
CAT, CAMERA = (88, 110), (150, 230)
KINDS = ("grey", "colour", "complex", "complex numbers", "spectral", "volume", "film", "hazy", "lidar", "contrast")


def image(kind: str, size: int = SIZE) -> Tensor | TensorList:
    """The clean image of this kind.

    * ``grey`` (1, 1, H, W), ``colour`` (1, 3, H, W), ``spectral`` (1, 7, H, W): photographs in [0, 1];
    * ``complex`` (1, 2, H, W): real and imaginary part as channels, as in deepinv's MRI; ``complex numbers``
      (1, 1, H, W): the same as complex numbers. The magnitude is a photograph, the phase is smooth;
    * ``volume`` (1, 1, D, H, W), ``film`` (1, 2, T, H, W): slices and frames that move by two pixels;
    * ``hazy``: [colour image, depth, atmospheric light]; ``lidar`` (1, 3, H, W): depth, intensity, background;
    * ``contrast`` (1, 1, H, W): a grey image of low contrast on zero, for scattering.
    """
    if kind == "colour":
        return _crop(data.chelsea(), *CAT, size)
    if kind == "grey":
        return _crop(data.camera(), *CAMERA, size)
    if kind == "complex numbers":
        return _with_phase(image("grey", size))
    if kind == "complex":
        return _as_channels(image("complex numbers", size))
    if kind == "spectral":
        return _bands(image("colour", size))
    if kind == "volume":
        return torch.stack([_crop(data.camera(), CAMERA[0], CAMERA[1] + 2 * i, size) for i in range(SLICES)], 2)
    if kind == "film":
        frames = [_crop(data.camera(), CAMERA[0], CAMERA[1] + 2 * i, size) for i in range(FRAMES)]
        return torch.stack([_as_channels(_with_phase(frame)) for frame in frames], 2)
    if kind == "hazy":
        depth = torch.linspace(1, 10, size).reshape(1, 1, size, 1).expand(1, 1, size, size)
        return TensorList([image("colour", size), depth.clone(), torch.tensor([0.9])])
    if kind == "lidar":
        grey = image("grey", size)
        return torch.cat([10 + 30 * grey, 50 + 100 * grey.flip(-1), torch.full_like(grey, 0.5)], 1)
    if kind == "contrast":
        return 0.2 * image("grey", size)
    raise ValueError(f"kind: got {kind!r}; expected one of {', '.join(KINDS)}.")


def _crop(photograph: np.ndarray, top: int, left: int, size: int) -> Tensor:
    crop = photograph[top : top + size, left : left + size]
    rows = crop[..., None] if crop.ndim == 2 else crop
    return as_tensor(rows)


def _with_phase(magnitude: Tensor) -> Tensor:
    """Complex numbers of this magnitude and a smooth phase of up to 1 rad."""
    rows, cols = (torch.linspace(-1, 1, n) for n in magnitude.shape[-2:])
    phase = 0.5 * rows[:, None] + 0.5 * (3 * cols).cos()
    return torch.polar(magnitude, phase.expand_as(magnitude))


def _as_channels(x: Tensor) -> Tensor:
    return torch.cat([x.real, x.imag], 1)


def _bands(colour: Tensor) -> Tensor:
    """Bands between blue and red, interpolated, each with an exponent of its own."""
    position = torch.linspace(2, 0, BANDS)
    bands = []
    for i, p in enumerate(position.tolist()):
        low = min(int(p), 1)
        band = (1 - (p - low)) * colour[:, low] + (p - low) * colour[:, low + 1]
        bands.append(band ** (0.8 + 0.1 * i))
    return torch.stack(bands, 1)
