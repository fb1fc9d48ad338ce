"""deepinv's default, no noise, where a measurement is no image: believed if that is so, else the noise is estimated."""

import math
import warnings

import deepinv as dinv
import pytest
import skimage.data
import torch
from deepinv.utils import TensorList

from daep_deepinv import DAEP

P = dinv.physics
SIZE = 64


def crop(name: str) -> torch.Tensor:
    """In colour, (1, 3, 64, 64)."""
    image = torch.from_numpy(getattr(skimage.data, name)() / 255).float()
    image = image.permute(2, 0, 1) if image.ndim == 3 else image.expand(3, -1, -1)
    top, left = (n // 3 for n in image.shape[-2:])
    return image[None, :, top : top + SIZE, left : left + SIZE].contiguous()


def grey(x: torch.Tensor) -> torch.Tensor:
    return x.mean(1, keepdim=True)


def grey_too(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, grey(x)], 1)


def stacked_blurs() -> P.Physics:
    kernels = (P.functional.gaussian_blur(sigma=s) for s in ((1.5, 1.5), (0.8, 3.0)))
    return P.stack(*(P.BlurFFT((1, SIZE, SIZE), kernel) for kernel in kernels))


def fourier_columns() -> P.Physics:
    return P.MRI((torch.arange(SIZE) % 3 == 0).float().expand(1, 1, SIZE, SIZE), (SIZE, SIZE))


#: Name -> physics, and the image that it takes.
PHYSICS = {
    "tomography": (lambda: P.Tomography(60, SIZE, normalize=True), grey),
    "tomography, few angles": (lambda: P.Tomography(20, SIZE, normalize=True), grey),
    "tomography, not normalised": (lambda: P.Tomography(30, SIZE, normalize=False), grey),
    "pansharpening": (lambda: P.Pansharpen((4, SIZE, SIZE)), grey_too),
    "stack": (stacked_blurs, grey),
    "blur": (lambda: P.Blur(P.functional.gaussian_blur(sigma=(1.6, 1.6)), padding="circular"), grey),
    "reduction": (lambda: P.Downsampling((3, SIZE, SIZE), filter="bicubic", factor=2), lambda x: x),
    "Fourier": (fourier_columns, lambda x: torch.cat([0.8 * grey(x), 0.6 * grey(x)], 1)),
}


def disturbed(y, level: float):
    """With white noise, the same for the same level."""
    parts = list(y) if isinstance(y, TensorList) else [y]
    noisy = [p + level * torch.randn(p.shape, generator=torch.Generator().manual_seed(k)) for k, p in enumerate(parts)]
    return TensorList(noisy) if isinstance(y, TensorList) else noisy[0]


def psnr(x, y) -> float:
    return -10 * math.log10(float((x - y).square().mean()))


#: Fine texture behind a mask of frequencies or a reduction is taken for noise; these have less.
LESS_TEXTURE = {"reduction": ("astronaut", "coffee"), "Fourier": ("camera", "astronaut")}


@pytest.mark.parametrize(
    ("name", "photograph"),
    [(name, one) for name in PHYSICS for one in LESS_TEXTURE.get(name, ("camera", "grass", "astronaut"))],
)
def test_a_measurement_without_noise_is_believed(name, photograph) -> None:
    make, of_colours = PHYSICS[name]
    physics = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        plan = DAEP(preset="fast").plan(physics.A(of_colours(crop(photograph))), physics)[0]
    assert plan.noise.level == 0 and plan.noise.source == "stated" and not plan.warnings


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("tomography", 0.01),
        ("tomography", 0.1),
        ("tomography, not normalised", 1.0),
        ("pansharpening", 0.01),
        ("pansharpening", 0.03),
    ],
)
def test_noise_that_nobody_stated_is_found(name, level) -> None:
    make, of_colours = PHYSICS[name]
    physics, x = make(), of_colours(crop("camera" if "tomography" in name else "astronaut"))
    y = disturbed(physics.A(x), level)
    model = DAEP(preset="fast")
    with pytest.warns(UserWarning, match="noise of the measurement is more than 0/255.*check_noise=False"):
        out = model(y, physics)
    assert model.noise_level[0] == pytest.approx(level, rel=0.4)
    assert psnr(out, x) > psnr(DAEP(level, preset="fast")(y, physics), x) - 1


@pytest.mark.parametrize("arguments", [{}, {"scale": 1.0}, {"scale": 1.0, "bounds": None}])
def test_the_noise_of_an_inverse_is_not_restored_nor_taken_for_the_range(arguments) -> None:
    """Found: a range of 11, in place of 1; and with the right one 7 dB in place of 20."""
    physics, x = P.Tomography(60, SIZE, normalize=True), grey(crop("camera"))
    y = disturbed(physics.A(x), 0.1)
    model = DAEP(0.1, preset="fast", **arguments)
    assert psnr(model(y, physics), x) > 22
    assert 0.7 < model.plans[0].range.scale < 1.5 and "its noise is too strong" in model.plans[0].start


def test_a_strong_inverse_is_smoothed_for_each_image_by_itself() -> None:
    physics, x = P.Tomography(60, SIZE, normalize=True), grey(crop("camera"))
    clean = physics.A(x)
    y = torch.cat([clean, disturbed(clean, 0.1)])
    model = DAEP(0.1)
    together = model.plan(y, physics)
    assert "too strong" not in together[0].start and "4 x 4" in together[1].start
    assert [model.plan(y[i : i + 1], physics)[0] for i in range(2)] == list(together)


@pytest.mark.parametrize("size", [800, 3000])
def test_what_random_projections_do_not_measure_is_no_noise(size) -> None:
    """Smoothed, their pseudo-inverse is nearly black: 10 dB in place of 33."""
    physics = P.CompressedSensing(m=size, img_size=(1, SIZE, SIZE), rng=torch.Generator().manual_seed(0))
    plan = DAEP(0.0, check_noise=False).plan(physics.A(grey(crop("camera"))), physics)[0]
    assert "averaged" not in plan.start


def test_a_given_start_stays_as_it_is() -> None:
    physics, x = P.Tomography(60, SIZE, normalize=True), grey(crop("camera"))
    y = disturbed(physics.A(x), 0.1)
    assert DAEP(0.1).plan(y, physics, init=physics.A_dagger(y))[0].start == "a given image"
