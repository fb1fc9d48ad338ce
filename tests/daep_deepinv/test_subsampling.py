"""Which operators leave parts of an image unmeasured, and what the last denoising may remove."""

import deepinv as dinv
import pytest
import torch
from deepinv.physics import LinearPhysics

from daep_deepinv import DAEP
from daep_deepinv.operators.right_adjoint import with_right_adjoint
from daep_deepinv.operators.subsampling import is_subsampling

SIZE = (1, 16, 16)
KERNEL = torch.full((1, 1, 3, 3), 1 / 9)


def mask():
    return (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def of_functions(kept):
    return LinearPhysics(A=lambda x, **_: kept * x, A_adjoint=lambda y, **_: kept * y)


def partial_transform():
    """Half of the Fourier coefficients."""
    kept = mask()
    return LinearPhysics(
        A=lambda x, **_: kept * torch.fft.fft2(x, norm="ortho"),
        A_adjoint=lambda y, **_: torch.fft.ifft2(kept * y, norm="ortho").real,
    )


def camera():
    return dinv.physics.SinglePixelCamera(m=100, img_size=SIZE, fast=True)


def projections():
    rng = torch.Generator().manual_seed(0)
    return dinv.physics.CompressedSensing(m=64, img_size=SIZE, rng=rng)


SUBSAMPLING = {
    "missing pixels": lambda: dinv.physics.Inpainting(SIZE, mask=0.5),
    "a mask as functions": lambda: of_functions(mask()),
    "a scaled mask": lambda: of_functions(3 * mask()),
    "single-pixel camera": camera,
    "random projections": projections,
    "a mask beside a blur": lambda: dinv.physics.stack(
        dinv.physics.Inpainting(SIZE, mask=0.5), dinv.physics.BlurFFT(SIZE, KERNEL)
    ),
}
OTHERS = {
    "blur": lambda: dinv.physics.BlurFFT(SIZE, KERNEL),
    "reduction": lambda: dinv.physics.Downsampling(SIZE, filter="bicubic", factor=2),
    "cropped blur": lambda: dinv.physics.Blur(torch.full((1, 1, 5, 5), 0.04), padding="valid"),
    "tomography": lambda: dinv.physics.Tomography(6, 16, circle=False),
    "the image itself": lambda: of_functions(torch.ones(1, 1, 16, 16)),
    "pansharpening": lambda: dinv.physics.Pansharpen((3, 16, 16), factor=4),
}


@pytest.mark.parametrize("name", SUBSAMPLING | OTHERS)
def test_subsampling_is_told_from_smoothing(name):
    physics = (SUBSAMPLING | OTHERS)[name]()
    x = torch.rand((1, 3, 16, 16) if name == "pansharpening" else (1, *SIZE))
    assert is_subsampling(physics, physics.A(x), x) == (name in SUBSAMPLING)


def test_few_iterations_need_an_exact_projection():
    x = torch.rand(1, *SIZE)
    for physics, exact in ((projections(), False), (camera(), True)):
        assert is_subsampling(physics, physics.A(x), x, exact=True) == exact


def test_random_projections_take_more_iterations(unet):
    physics = projections()
    y = physics.A(torch.rand(1, *SIZE))
    lengths = {preset: len(DAEP(0.01, unet, preset).plan(y, physics)[0].schedule) for preset in ("fast", "annealed")}
    assert lengths == {"fast": 8, "annealed": 60}
    assert len(DAEP(0.01, unet, max_iter=5).plan(y, physics)[0].schedule) == 5


def test_a_mask_beside_a_blur_of_another_noise_level_is_no_missing_pixels(unet, photograph):
    x, noise = photograph[:, :1, 40:56, 40:56], dinv.physics.GaussianNoise
    duals = []
    for level in (0.01, 0.1):
        missing = dinv.physics.Inpainting(SIZE, mask=0.5, noise_model=noise(level))
        physics = dinv.physics.stack(missing, dinv.physics.BlurFFT(SIZE, KERNEL, noise_model=noise(0.01)))
        duals.append(DAEP(denoiser=unet).plan(physics(x), physics)[0].schedule.dual)
    assert duals == [True, False]


def test_the_plan_for_a_mask_as_functions_is_that_of_missing_pixels(unet, photograph):
    x = photograph[:, :1, 40:56, 40:56]
    plain, named = of_functions(mask()), dinv.physics.Inpainting(SIZE, mask=mask()[0])
    plans = [DAEP(0.01, unet).plan(physics.A(x), physics)[0] for physics in (plain, named)]
    assert plans[0].schedule == plans[1].schedule
    assert plans[0].noise == plans[1].noise and "black" not in str(plans[0])


def test_details_that_are_measured_often_survive_the_last_denoising(photograph, shipped):
    """40 noisy looks at an image determine it better than a denoiser knows it."""
    x = photograph[..., 40:72, 40:72]
    looks = dinv.physics.stack(*(dinv.physics.BlurFFT(x.shape[1:], torch.ones(1, 1, 1, 1)) for _ in range(40)))
    y = looks.A(x)
    rng = torch.Generator().manual_seed(0)
    for part in y:
        part += 0.01 * torch.randn(part.shape, generator=rng)
    mean = torch.stack(list(y)).mean(0)
    error = (DAEP(0.01, shipped("dae"), "fast")(y, looks) - x).square().mean()
    assert float(error) < 1.1 * float((mean - x).square().mean())


def test_unknowns_in_unlike_units_are_refused():
    lidar = dinv.physics.SinglePhotonLidar()
    with pytest.raises(ValueError, match="denoise the depth alone"):
        DAEP()(torch.ones(1, 50, 8, 8), lidar)


def test_a_transform_whose_adjoint_is_mended_samples_as_before():
    """deepinv's ``SequentialMRI`` averages the samples of a frequency that is measured twice."""
    lines = torch.zeros(1, 1, 2, 16, 16)
    lines[:, :, 0, :, ::4], lines[:, :, 1, :, 6:10] = 1, 1
    physics, like = dinv.physics.SequentialMRI(lines, (16, 16)), torch.rand(1, 2, 16, 16)
    mended = with_right_adjoint(physics, like)
    assert mended is not physics and is_subsampling(mended, physics.A(like), like, exact=True)
