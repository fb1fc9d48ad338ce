"""Every class of ``deepinv.physics`` that runs offline, and its noise, for ``physics_matrix.py``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import deepinv as dinv
import torch
from deepinv import physics as dp
from deepinv.physics.functional import gaussian_blur
from deepinv.physics.phase_retrieval import build_probe
from deepinv.physics.scattering import circular_sensors
from deepinv.transform import Rotate
from deepinv.utils import TensorList
from physics_matrix_images import SIZE
from torch import Tensor

#: Share of the root mean square of the noise-free measurement that the noise has.
STRENGTH = 0.05
#: Noise of every operator; Poisson noise only where the measurement is not negative.
USUAL = ("gaussian", "poisson")
#: Additive and multiplicative noise, and impulses, of operators that measure an image.
MANY = (
    *USUAL, "zero", "poisson-gaussian", "uniform", "uniform-gaussian", "laplace", "salt and pepper", "gamma",
    "fisher-tippett", "rician",
)  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """One row of operators.

    :param str name: the class and what distinguishes it.
    :param tuple kinds: of images, see :func:`physics_matrix_images.image`.
    :param make: function of the clean image, the physics without noise.
    :param tuple noises: names of noise models.
    :param str needs: a package that deepinv needs for it; rows are left out without it.
    :param str ambiguity: "", "phase" or "offset": what of the image the measurement cannot tell.
    :param int border: pixels of each side that PSNR leaves out: the measurement does not show them.
    :param int size: of the image; smaller where the operator is a dense matrix.
    """

    name: str
    kinds: tuple[str, ...]
    make: Callable[[Any], Any]
    noises: tuple[str, ...] = USUAL
    needs: str = ""
    ambiguity: str = ""
    border: int = 0
    size: int = SIZE


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape[1:])


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


GAUSSIAN = gaussian_blur(sigma=(1.6, 1.6))
#: Pixels of each side that a ``valid`` blur with the widest kernel does not measure.
BORDER = 8
#: A motion blur: five pixels, two rows.
MOTION = torch.tensor([[0.3, 0.3, 0.2, 0.0, 0.0], [0.0, 0.0, 0.1, 0.05, 0.05], [0.0] * 5])[None, None]


def _columns(x: Tensor, share: float) -> Tensor:
    """A Cartesian mask of MRI: the centre and random columns, (1, H, W)."""
    width = x.shape[-1]
    kept = torch.rand(width, generator=_rng()) < share
    kept[width // 2 - width // 16 : width // 2 + width // 16] = True
    return kept.float().expand(1, 1, x.shape[-2], width)


def _coils(x: Tensor, count: int = 4) -> Tensor:
    """Sensitivity maps (1, N, H, W): Gaussians around the corners, their squares sum to one."""
    rows, cols = (torch.linspace(-1, 1, n) for n in x.shape[-2:])
    corners = [(a, b) for a in (-1, 1) for b in (-1, 1)][:count]
    maps = torch.stack([torch.exp(-((rows[:, None] - a) ** 2 + (cols - b) ** 2) / 3) for a, b in corners])
    phase = torch.arange(count).reshape(-1, 1, 1) * 0.7
    return torch.polar(maps / maps.square().sum(0).sqrt(), phase.expand_as(maps))[None]


def _space_varying(x: Tensor, padding: str) -> Any:
    narrow, wide = gaussian_blur(sigma=(1.0, 1.0)), gaussian_blur(sigma=(2.0, 2.0))
    border = [(w - n) // 2 for w, n in zip(wide.shape[-2:], narrow.shape[-2:], strict=True)]
    narrow = torch.nn.functional.pad(narrow, (border[1], border[1], border[0], border[0]))
    ramp = torch.linspace(0, 1, x.shape[-1]).expand(1, 1, *x.shape[-2:])
    filters, weights = torch.stack([narrow, wide], 2), torch.stack([ramp, 1 - ramp], 2)
    return dp.SpaceVaryingBlur(filters=filters, multipliers=weights, padding=padding)


def _tiled(x: Tensor) -> Any:
    patch, stride = (32, 32), (16, 16)
    count = dp.TiledSpaceVaryingBlur.num_filters(img_size=x.shape[-2:], patch_size=patch, stride=stride)
    widths = torch.linspace(1.0, 2.0, math.prod(count))
    filters = [gaussian_blur(sigma=(float(s), float(s))) for s in widths]
    size = max(f.shape[-1] for f in filters)
    padded = [torch.nn.functional.pad(f, [(size - f.shape[-1]) // 2] * 4) for f in filters]
    bank = torch.stack(padded, 2).expand(1, x.shape[1], -1, -1, -1)
    return dp.TiledSpaceVaryingBlur(filters=bank, patch_size=patch, stride=stride)


def _radio(x: Tensor, weighted: bool = False) -> Any:
    count = x.shape[-1] * x.shape[-2] // 2
    samples = (torch.rand(2, count, generator=_rng()) - 0.5) * 2 * math.pi
    weight = torch.linspace(0.2, 1.0, count) if weighted else None
    return dp.RadioInterferometry(img_size=tuple(x.shape[-2:]), samples_loc=samples, dataWeight=weight)


def _ultrasound(x: Tensor) -> Any:
    return dp.UltrasoundPlaneWave(
        img_size=tuple(x.shape[-2:]),
        angles=torch.deg2rad(torch.linspace(-16.0, 16.0, 5)),
        element_positions=torch.stack([(torch.arange(64) - 31.5) * 3e-4, torch.zeros(64)], -1),
        n_samples=512,
        sampling_frequency=20e6,
        pixel_size=(1540.0 / 5e6 / 2, 1540 / 5e6 / 2),
        normalize=True,
    )


def _virtual(x: Tensor) -> Any:
    base = dp.Inpainting(_shape(x), mask=0.5, rng=_rng())
    transform = Rotate(n_trans=1, multiples=90, positive=True, rng=_rng())
    return dp.VirtualLinearPhysics(physics=base, transform=transform, g_params=transform.get_params(x))


def _scattering(x: Tensor) -> Any:
    transmitters, receivers = circular_sensors(16, radius=1.0)
    return dp.Scattering(
        img_width=x.shape[-1], background_wavenumber=5 * 2 * math.pi, wave_type="plane_wave",
        transmitters=transmitters, receivers=receivers, dtype=torch.complex64,
    )  # fmt: skip


def _blur(padding: str) -> Callable[[Any], Any]:
    return lambda x: dp.Blur(GAUSSIAN, padding=padding)


def _down(factor: int, padding: str, filter: str = "gaussian") -> Callable[[Any], Any]:
    return lambda x: dp.Downsampling(_shape(x), filter=filter, factor=factor, padding=padding)


def _own_linear(x: Tensor) -> Any:
    """An operator that the user wrote: the mean of an image and of its neighbour to the right."""
    return dp.LinearPhysics(A=lambda x, **k: (x + x.roll(1, -1)) / 2, A_adjoint=lambda y, **k: (y + y.roll(-1, -1)) / 2)


def _decomposable(x: Tensor) -> Any:
    """Every second discrete cosine is missing at random; the basis is orthogonal, so its SVD is known."""
    n = x.shape[-1]
    k, i = torch.arange(n)[:, None].double(), torch.arange(n)[None].double()
    basis = torch.cos(math.pi * k * (2 * i + 1) / (2 * n)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    c = basis.float()
    mask = (torch.rand(x.shape[-2:], generator=_rng()) < 0.5).float()
    mask[:8, :8] = 1
    same = lambda u: u  # noqa: E731
    forward, back = (lambda v: c @ v @ c.T), (lambda v: c.T @ v @ c)
    return dp.DecomposablePhysics(U=same, U_adjoint=same, V_adjoint=forward, V=back, mask=mask)


def _stack(*parts: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: dp.stack(*(part(x) for part in parts))


def _inpainting(share: float = 0.5, pixelwise: bool = True) -> Callable[[Any], Any]:
    return lambda x: dp.Inpainting(_shape(x), mask=share, pixelwise=pixelwise, rng=_rng())


def _blur_fft(kernel: Tensor) -> Callable[[Any], Any]:
    return lambda x: dp.BlurFFT(_shape(x), filter=kernel)


def _camera(m: int, fast: bool) -> Callable[[Any], Any]:
    return lambda x: dp.SinglePixelCamera(m=m, img_size=_shape(x), fast=fast, rng=_rng())


def _tomography(**options: Any) -> Callable[[Any], Any]:
    return lambda x: dp.Tomography(angles=40, img_width=x.shape[-1], circle=False, **options)


def _scaled(x: Tensor) -> Any:
    return dp.LinearPhysicsMultiScaler(dp.Inpainting(_shape(x), mask=0.5, rng=_rng()), _shape(x))


PICTURES = ("grey", "colour", "complex")
LINEAR = (
    Operator("Denoising", ("grey", "colour"), lambda x: dp.Denoising(), MANY),
    Operator("Denoising", ("complex", "spectral"), lambda x: dp.Denoising(), ("gaussian",)),
    Operator("Blur valid", ("grey",), _blur("valid"), MANY, border=BORDER),
    Operator("Blur valid", ("colour", "complex", "spectral"), _blur("valid"), border=BORDER),
    Operator("Blur circular", ("colour",), _blur("circular")),
    Operator("Blur reflect", ("colour",), _blur("reflect")),
    Operator("Blur replicate", ("grey",), _blur("replicate")),
    Operator("Blur constant", ("colour",), _blur("constant")),
    Operator("Blur 1 x 6 replicate", ("grey",), lambda x: dp.Blur(torch.ones(1, 1, 1, 6) / 6, padding="replicate")),
    Operator("Blur 3-D", ("volume",), lambda x: dp.Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding="circular")),
    Operator("BlurFFT gaussian", PICTURES, _blur_fft(GAUSSIAN)),
    Operator("BlurFFT motion", ("grey", "colour"), _blur_fft(MOTION)),
    Operator("SpaceVaryingBlur valid", ("grey",), lambda x: _space_varying(x, "valid"), border=BORDER),
    Operator("SpaceVaryingBlur constant", ("colour",), lambda x: _space_varying(x, "constant")),
    Operator("SpaceVaryingBlur circular", ("grey",), lambda x: _space_varying(x, "circular")),
    Operator("TiledSpaceVaryingBlur", ("colour",), _tiled, border=BORDER),
    Operator("Inpainting", ("colour",), _inpainting(), MANY),
    Operator("Inpainting", ("grey", "complex", "spectral"), _inpainting(), ("gaussian", "zero")),
    Operator("Inpainting by channel", ("colour",), _inpainting(pixelwise=False), ("gaussian", "zero")),
    Operator("Demosaicing", ("colour",), lambda x: dp.Demosaicing(_shape(x))),
    Operator("Decolorize", ("colour",), lambda x: dp.Decolorize()),
    Operator("Downsampling x2 circular", ("grey", "colour", "complex"), _down(2, "circular")),
    Operator("Downsampling x4 reflect", ("colour",), _down(4, "reflect", "bicubic"), ("gaussian", "zero")),
    Operator("Downsampling x3 circular", ("grey",), _down(3, "circular"), ("gaussian",)),
    Operator("Downsampling x2 valid", ("grey",), _down(2, "valid"), ("gaussian",), border=BORDER),
    Operator("DownsamplingMatlab x2", ("colour",), lambda x: dp.DownsamplingMatlab(factor=2), (*USUAL, "zero")),
    Operator(
        "Upsampling x2", ("grey",),
        lambda x: dp.Upsampling((x.shape[1], 2 * x.shape[2], 2 * x.shape[3]), filter="bicubic", factor=2),
        ("gaussian",),
    ),
    Operator(
        "CompressedSensing", ("grey",),
        lambda x: dp.CompressedSensing(1000, _shape(x), rng=_rng()), ("gaussian",),
    ),
    Operator(
        "CompressedSensing by channel", ("colour", "complex"),
        lambda x: dp.CompressedSensing(1000, _shape(x), channelwise=True, rng=_rng()), ("gaussian",),
    ),
    Operator(
        "CompressedSensing complex", ("complex numbers",),
        lambda x: dp.CompressedSensing(1000, _shape(x), dtype=torch.cfloat, rng=_rng()), ("gaussian",),
    ),
    Operator("SinglePixelCamera fast", ("grey", "colour", "complex"), _camera(1200, True), ("gaussian",)),
    Operator("SinglePixelCamera slow", ("grey",), _camera(1200, False), ("gaussian",)),
    Operator(
        "StructuredRandom", ("grey", "colour"),
        lambda x: dp.StructuredRandom(_shape(x), (x.shape[1], 45, 45), rng=_rng()), ("gaussian",),
    ),
    Operator("Tomography", ("grey",), _tomography(normalize=True)),
    Operator("Tomography not normalised", ("grey",), _tomography(normalize=False), (*USUAL, "log-poisson")),
    Operator("Tomography fan beam", ("grey",), _tomography(normalize=True, fan_beam=True), ("gaussian",)),
    Operator("Tomography colour", ("colour",), _tomography(normalize=True), ("gaussian",)),
    Operator("MRI x4", ("complex",), lambda x: dp.MRI(_columns(x, 0.15), _shape(x)[1:]), ("gaussian", "zero")),
    Operator("MRI x8", ("complex",), lambda x: dp.MRI(_columns(x, 0.02), _shape(x)[1:]), ("gaussian",)),
    Operator(
        "MultiCoilMRI x4", ("complex",),
        lambda x: dp.MultiCoilMRI(_columns(x, 0.15), _coils(x), _shape(x)[1:]), ("gaussian", "zero"),
    ),
    Operator(
        "MultiCoilMRI x8", ("complex",),
        lambda x: dp.MultiCoilMRI(_columns(x, 0.02), _coils(x), _shape(x)[1:]), ("gaussian",),
    ),
    Operator(
        "DynamicMRI", ("film",),
        lambda x: dp.DynamicMRI(_columns(x, 0.15)[:, :, None].expand(1, 1, *x.shape[2:]), _shape(x)[1:]), ("gaussian",),
    ),
    Operator(
        "SequentialMRI", ("complex",),
        lambda x: dp.SequentialMRI(torch.stack([_columns(x, s) for s in (0.1, 0.2)], 2), _shape(x)[1:]), ("gaussian",),
    ),
    Operator(
        "MRI 3-D", ("film",),
        lambda x: dp.MRI(_columns(x, 0.15)[:, :, None].expand(1, 1, *x.shape[2:]), _shape(x)[1:], three_d=True),
        ("gaussian",),
    ),
    Operator("RadioInterferometry", ("grey",), _radio, ("gaussian",), "torchkbnufft"),
    Operator("RadioInterferometry weighted", ("grey",), lambda x: _radio(x, True), ("gaussian",), "torchkbnufft"),
    Operator("Pansharpen", ("colour", "spectral"), lambda x: dp.Pansharpen(_shape(x)), ("gaussian", "zero")),
    Operator("Pansharpen unlike noise", ("colour",), lambda x: dp.Pansharpen(_shape(x)), ("unlike",)),
    *(
        Operator(
            f"CompressiveSpectralImaging {mode}", ("spectral",),
            lambda x, mode=mode: dp.CompressiveSpectralImaging(_shape(x), mode=mode, rng=_rng()), ("gaussian",),
        )
        for mode in ("ss", "sd")
    ),
    Operator("HyperSpectralUnmixing", ("colour",), lambda x: dp.HyperSpectralUnmixing(E=3, C=16), ("gaussian",)),
    Operator("UltrasoundPlaneWave", ("grey",), _ultrasound, ("gaussian",)),
    Operator(
        "PtychographyLinearOperator", ("complex numbers",),
        lambda x: dp.PtychographyLinearOperator(
            img_size=_shape(x), probe=build_probe(_shape(x), probe_radius=16)
        ), ("gaussian",),
    ),
    Operator("LinearPhysics, functions", PICTURES, _own_linear, ("gaussian",)),
    Operator("DecomposablePhysics, cosines", ("grey", "colour"), _decomposable, ("gaussian",)),
    Operator("stack of two blurs", ("colour",), _stack(_blur_fft(GAUSSIAN), _blur_fft(MOTION)), ("gaussian", "unlike")),
    Operator("stack of blur and mask", ("grey",), _stack(_blur_fft(GAUSSIAN), _inpainting()), ("gaussian", "unlike")),
    Operator("mask of a blur", ("grey", "colour"), lambda x: _inpainting()(x) * _blur_fft(GAUSSIAN)(x), ("gaussian",)),
    Operator("downsampling of a blur", ("grey",), lambda x: _down(2, "circular")(x) * _blur_fft(MOTION)(x), USUAL),
    Operator("PhysicsCropper", ("colour",), lambda x: dp.PhysicsCropper(_small_blur(x), (4, 6)), ("gaussian",)),
    Operator("LinearPhysicsMultiScaler", ("grey",), _scaled, ("gaussian",)),
    Operator("VirtualLinearPhysics", ("colour",), _virtual, ("gaussian",)),
)  # fmt: skip


def _small_blur(x: Tensor) -> Any:
    return dp.BlurFFT((x.shape[1], x.shape[2] - 4, x.shape[3] - 6), filter=GAUSSIAN)


NONLINEAR = (
    Operator(
        "RandomPhaseRetrieval", ("complex numbers",),
        lambda x: dp.RandomPhaseRetrieval(4 * x[0].numel(), _shape(x), rng=_rng()), ("gaussian",), "", "phase",
        size=32,
    ),
    Operator(
        "StructuredRandomPhaseRetrieval", ("complex numbers",),
        lambda x: dp.StructuredRandomPhaseRetrieval(_shape(x), (1, 2 * x.shape[2], 2 * x.shape[3]), 2), ("gaussian",),
        "", "phase",
    ),
    Operator(
        "Ptychography", ("complex numbers",),
        lambda x: dp.Ptychography(img_size=_shape(x), probe=build_probe(_shape(x), probe_radius=16)), ("gaussian",),
        "", "phase",
    ),
    *(
        Operator(
            f"SpatialUnwrapping {mode}", ("grey",),
            lambda x, mode=mode: dp.SpatialUnwrapping(threshold=0.5, mode=mode), ("gaussian",), "", "offset",
        )
        for mode in ("round", "floor")
    ),
    Operator("Haze", ("hazy",), lambda x: dp.Haze(), ("gaussian",)),
    Operator("SinglePhotonLidar", ("lidar",), lambda x: dp.SinglePhotonLidar(), ("poisson",)),
    Operator("Scattering", ("contrast",), _scattering, ("gaussian",)),
    Operator(
        "Physics, a function", ("grey", "colour"),
        lambda x: dp.Physics(A=lambda x, **k: x.clamp_min(1e-3) ** 0.7), ("gaussian",),
    ),
)  # fmt: skip
OPERATORS = (*LINEAR, *NONLINEAR)


def parts(y: Tensor | TensorList) -> list[Tensor]:
    """The tensors of a measurement or image, complex ones as real numbers."""
    tensors = list(y) if isinstance(y, TensorList) else [y]
    return [torch.view_as_real(part) if part.is_complex() else part for part in tensors]


def rms(y: Tensor | TensorList) -> float:
    """Root mean square of all real numbers."""
    return float(torch.cat([part.flatten() for part in parts(y)]).square().mean().sqrt())


def noise_of(name: str, clean: Tensor) -> dp.NoiseModel | None:
    """The noise model of this name for a noise-free measurement; ``None``: this measurement cannot have it.

    All have about the same strength: :data:`STRENGTH` of the root mean square of the measurement, counting noise twice
    that. Impulses replace one value in twenty by 0 or 1.
    """
    size, (values,) = rms(clean), parts(clean)
    level, low, mean = STRENGTH * size, float(values.min()), float(values.mean())
    if name == "zero":
        return dp.ZeroNoise()
    if name == "gaussian":
        return dp.GaussianNoise(level * (math.sqrt(2) if clean.is_complex() else 1))
    if name == "uniform":
        return dp.UniformNoise(level * math.sqrt(3))
    if name == "uniform-gaussian":
        return dp.UniformGaussianNoise(0.5 * level, 2 * level)
    if name == "laplace":
        return dp.LaplaceNoise(level / math.sqrt(2))
    if name == "fisher-tippett":
        return dp.FisherTippettNoise(1 / level**2)
    if name == "rician":
        return dp.RicianNoise(level)
    if name == "log-poisson":
        return dp.LogPoissonNoise(N0=1e4, mu=1 / (2 * float(values.max())))
    if name == "salt and pepper":
        return dp.SaltPepperNoise(0.025, 0.025)
    if clean.is_complex() or low < -1e-3 * size:
        return None  # counts and intensities are not negative
    if name == "poisson":
        return dp.PoissonNoise((2 * level) ** 2 / mean, clip_positive=True)
    if name == "poisson-gaussian":
        return dp.PoissonGaussianNoise((2 * level) ** 2 / mean, level, clip_positive=True)
    if name == "gamma" and low <= 0:
        return None  # a factor needs something to multiply
    if name == "gamma":
        return dp.GammaNoise(1 / (2 * STRENGTH) ** 2)
    raise ValueError(f"noise: {name!r} is unknown.")


def add_noise(physics: Any, x: Any, name: str) -> bool:
    """Give the physics its noise model; ``False``: its measurement cannot have it.

    ``unlike``: the second part of a stacked physics is five times as noisy as the first.
    """
    with torch.no_grad():
        clean = physics.A(x)
    if not isinstance(clean, TensorList):
        model = noise_of(name, clean)
        if model is not None:
            physics.noise_model = model
        return model is not None
    factors = (1, 5) if name == "unlike" else (1, 1)
    models = [noise_of("gaussian" if name == "unlike" else name, part) for part in clean]
    if any(model is None for model in models):
        return False
    for part, model, factor in zip(physics.physics_list, models, factors, strict=True):
        if hasattr(model, "sigma"):
            model.sigma *= factor
        part.noise_model = model
    return True


def true_level(physics: Any, x: Any, y: Any) -> float:
    """Root mean square of the noise of a measurement, of its real numbers."""
    model = physics.noise_model
    if isinstance(physics, dp.SpatialUnwrapping):  # the noise is added before the values are wrapped
        return float(model.sigma)
    with torch.no_grad():
        clean = physics.A(x)
    gap = TensorList([a - b for a, b in zip(y, clean, strict=True)]) if isinstance(y, TensorList) else y - clean
    if isinstance(model, dp.PoissonNoise) and not bool(model.normalize):
        gap = y * model.gain - clean
    return rms(gap)


def version() -> str:
    """deepinv's, for the page."""
    return str(dinv.__version__)
