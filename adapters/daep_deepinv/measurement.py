"""``Measurement``: what the caller of ``DAEP`` gave, in the form in which it is restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from deepinv.physics import Haze, LinearPhysics, PhaseRetrieval, Physics, SinglePhotonLidar
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.checks import check_shape, checked_measurement
from daep_deepinv.measurement_parts import parts_of, shape_of
from daep_deepinv.operators.failures import refusal
from daep_deepinv.operators.number_type import HALF, in_number_type, number_type
from daep_deepinv.operators.right_adjoint import black_image, with_right_adjoint
from daep_deepinv.operators.scaled import ComplexAsReal, ComplexAsRealLinear, RealPart
from daep_deepinv.starts.starting_point import starting_point
from daep_prior.partition import as_complex, as_real

__all__ = ["Measurement", "read_measurement"]


@dataclass(frozen=True)
class Measurement:
    """A measurement in a number type of at least float32, with a physics of real images.

    :param y: measurement, a tensor or a ``TensorList``, without a graph.
    :param Physics physics: a linear one has the right adjoint, if that can be found.
    :param init: first images (B, C, ...), or a function of (y, physics).
    :param torch.Tensor x_gt: ground truth, real; ``None``: unknown.
    :param torch.dtype number_type: of the caller's ``y``, real.
    :param bool complex_images: the caller's images are complex; here their real and imaginary parts are channels.
    """

    y: Any
    physics: Physics
    init: Any
    x_gt: Tensor | None
    number_type: torch.dtype
    complex_images: bool

    def result(self, x: Tensor) -> Tensor:
        """Images as the caller expects them."""
        return x.to(self.number_type) if not self.complex_images else as_complex(x).to(_complex(self.number_type))


def read_measurement(y: Any, physics: Physics, init: Any = starting_point, x_gt: Tensor | None = None) -> Measurement:
    """Check the arguments of a call of ``DAEP`` and bring them to one form.

    Half precision is computed in float32. Otherwise the type of the physics decides.

    :raises ValueError: the measurement is not finite or does not fit the physics, ``x_gt`` does not fit the images, or
        the unknowns are not one image.
    """
    if isinstance(physics, SinglePhotonLidar):
        raise ValueError(
            "physics: got SinglePhotonLidar; expected one image, but depth, intensity and background differ in unit; "
            "denoise the depth alone: DAEP('estimate')(physics.A_dagger(y)[:, :1], Denoising())."
        )
    physics, init = _with_known_haze(physics, init)
    y = checked_measurement(_out_of_list(y, physics), physics)
    _check_devices(y, physics)
    given = _real(parts_of(y)[0].dtype)
    wanted = number_type(physics) or given
    wanted = torch.float32 if wanted in HALF else wanted
    physics = in_number_type(physics, wanted)
    y = TensorList([_as_type(part, wanted) for part in y]) if isinstance(y, TensorList) else _as_type(y, wanted)
    init = _first_image(init, wanted)
    like = _image_like(y, physics, init)
    if init is starting_point and isinstance(physics, LinearPhysics) and isinstance(like, Tensor):
        check_shape(like, y, physics)
    complex_images = like is not None and like.is_complex()
    if isinstance(init, Tensor) and not init.is_complex() and complex_images and isinstance(physics, LinearPhysics):
        physics, complex_images = RealPart(physics), False
    if complex_images:
        linear = isinstance(physics, LinearPhysics)
        base, physics = physics, ComplexAsRealLinear(physics) if linear else ComplexAsReal(physics)
        init = _in_channels(init, base)
    if like is not None and isinstance(physics, LinearPhysics):
        physics = with_right_adjoint(physics, torch.zeros_like(as_real(like) if complex_images else _real_part(like)))
    if x_gt is not None:
        x_gt = _checked_truth(x_gt, like if not isinstance(init, Tensor) else init, wanted, complex_images)
    return Measurement(y, physics, init, x_gt, given, complex_images)


def _with_known_haze(physics: Any, init: Any) -> tuple[Any, Any]:
    """Haze has three unknowns: image, depth and airlight. Depth and airlight are taken from ``init``."""
    if not isinstance(physics, Haze):
        return physics, init
    if not isinstance(init, (TensorList, tuple, list)) or len(init) != 3:
        raise ValueError(
            "physics: Haze has three unknowns; pass init=(image, depth, airlight). The image is restored, the depth "
            "and the airlight are taken as they are."
        )
    image, depth, airlight = init
    return Physics(A=lambda x, **_: physics.A([x, depth, airlight]), noise_model=physics.noise_model), image


def _out_of_list(y: Any, physics: Any) -> Any:
    """The measurement in a list, as a ``DataLoader`` gives it."""
    if not isinstance(y, (list, tuple)) or not all(isinstance(part, Tensor) for part in y):
        return y
    stacked = getattr(physics, "physics_list", None) if hasattr(physics, "noise") else None
    if stacked is not None and len(y) == len(stacked) > 1:
        return TensorList(list(y))
    if len(y) == 1:
        return y[0]
    raise ValueError(
        f"y: got a list of {len(y)} tensors, as a DataLoader of pairs gives it; expected the measurement alone: "
        "`for x, y in loader: model(y, physics)`."
    )


def _check_devices(y: Any, physics: Physics) -> None:
    device = parts_of(y)[0].device
    for name, buffer in physics.named_buffers():
        if buffer.device != device and not name.endswith(("_device_holder", "initial_random_state")):
            raise ValueError(
                f"y: it is on {device}, the physics on {buffer.device} ({name}); move one of them, "
                "y.to(device) or physics.to(device)."
            )


def _first_image(init: Any, dtype: torch.dtype) -> Any:
    """A tensor out of deepinv's forms, in this number type; anything else as it is."""
    if isinstance(init, dict):
        init = init.get("est")
    if isinstance(init, tuple) and init:
        init = init[0]
    return _as_type(init.detach().clone(), dtype) if isinstance(init, Tensor) else init


def _image_like(y: Any, physics: Physics, init: Any) -> Tensor | None:
    """An image of the type and, for a linear physics, the shape that ``y`` comes from; ``None``: unknown."""
    sentence = f"y: a measurement of shape {shape_of(y)} does not fit this physics"
    if getattr(type(physics), "A_adjoint", None) is LinearPhysics.A_adjoint and physics.A_adj is None:
        name = type(physics).__name__
        sentence = f"physics: {name} has no A_adjoint, and none is found for a measurement of shape {shape_of(y)}"
    with refusal(sentence):
        if isinstance(physics, LinearPhysics):
            return black_image(y, physics)
        if isinstance(physics, PhaseRetrieval) and not isinstance(init, Tensor):
            back: Tensor = physics.B_adjoint(y)
            return back
    return init if isinstance(init, Tensor) else None


def _in_channels(init: Any, base: Physics) -> Any:
    """The first image with real and imaginary parts as channels; for a function, a function that returns it."""
    if isinstance(init, Tensor):
        return as_real(init.to(_complex(init.dtype)))
    if init is starting_point or not callable(init):
        return init

    def start(y: Any, physics: Physics) -> Tensor:
        found = _first_image(init(y, base), _real(parts_of(y)[0].dtype))
        return as_real(found.to(_complex(found.dtype)))

    return start


def _checked_truth(x_gt: Any, like: Any, dtype: torch.dtype, complex_images: bool) -> Tensor:
    if not isinstance(x_gt, Tensor):
        raise ValueError(f"x_gt: got an object of type {type(x_gt).__name__}; expected a torch.Tensor.")
    if complex_images:
        x_gt = as_real(x_gt.to(_complex(x_gt.dtype)))
    expected = as_real(like) if isinstance(like, Tensor) and like.is_complex() and complex_images else like
    if isinstance(expected, Tensor) and x_gt.shape != expected.shape:
        raise ValueError(f"x_gt: got shape {shape_of(x_gt)}; expected that of the images, {shape_of(expected)}.")
    return _as_type(x_gt.detach(), dtype)


def _as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(_complex(dtype) if x.is_complex() else dtype)


def _real(dtype: torch.dtype) -> torch.dtype:
    return {torch.complex128: torch.float64, torch.complex64: torch.float32, torch.complex32: torch.float16}.get(
        dtype, dtype
    )


def _complex(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype in (torch.float64, torch.complex128) else torch.complex64


def _real_part(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
