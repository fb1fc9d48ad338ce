"""The first image: the measurement where the operator maps images to images, found by a test, else its inverse."""

import deepinv as dinv
import pytest
import torch
from deepinv.physics import LinearPhysics

from daep_deepinv import DAEP, degradation, starting_point
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.starts.starting_point import described_start

SIZE = (3, 24, 36)
GAUSSIAN = dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0))
KERNEL = torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(0)) ** 2
KERNEL = KERNEL / KERNEL.sum()


def linear(forward, adjoint):
    return LinearPhysics(A=lambda x, **_: forward(x), A_adjoint=lambda y, **_: adjoint(y))


#: Steps and first position of the measured pixels.
IMAGES = {
    "identity": (dinv.physics.Denoising, [[1, 0], [0, 1]], [0, 0]),
    "blur": (lambda: dinv.physics.Blur(GAUSSIAN, "circular"), [[1, 0], [0, 1]], [0, 0]),
    "wide blur": (
        lambda: dinv.physics.BlurFFT(SIZE, dinv.physics.functional.gaussian_blur(sigma=(3.0, 3.0))),
        [[1, 0], [0, 1]],
        [0, 0],
    ),
    "valid blur": (lambda: dinv.physics.Blur(torch.ones(1, 1, 5, 7) / 35, "valid"), [[1, 0], [0, 1]], [2, 3]),
    "reduction from a corner": (
        lambda: dinv.physics.Downsampling(SIZE, "gaussian", 2),
        [[2, 0], [0, 2]],
        [0, 0],
    ),
    "centred reduction": (lambda: dinv.physics.DownsamplingMatlab(factor=3), [[3, 0], [0, 3]], [1, 1]),
    "cropped reduction": (
        lambda: dinv.physics.Downsampling(SIZE, torch.ones(1, 1, 5, 7) / 35, 2, padding="valid"),
        [[2, 0], [0, 2]],
        [2, 3],
    ),
    "grey": (dinv.physics.Decolorize, [[1, 0], [0, 1]], [0, 0]),
    "mask and blur": (
        lambda: dinv.physics.Inpainting(SIZE, mask=0.5) * dinv.physics.Blur(GAUSSIAN, "circular"),
        [[1, 0], [0, 1]],
        [0, 0],
    ),
    "mirrored rows": (
        lambda: linear(
            lambda x: x[..., ::2, :].flip(-1),
            lambda y: torch.zeros(len(y), *SIZE).index_copy(2, torch.arange(0, 24, 2), y.flip(-1)),
        ),
        [[2, 0], [0, -1]],
        [0, 35],
    ),
    "turned": (lambda: linear(lambda x: x.mT, lambda y: y.mT), [[0, 1], [1, 0]], [0, 0]),
    "255 times": (lambda: linear(lambda x: 255 * x, lambda y: 255 * y), [[1, 0], [0, 1]], [0, 0]),
}
MIXED = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.9, 0.0, 0.1]])
OTHERS = {
    "Hadamard": lambda: dinv.physics.SinglePixelCamera(60, (3, 16, 16)),
    "Fourier": lambda: linear(lambda x: torch.fft.fft2(x).real, lambda y: torch.fft.fft2(y).real),
    "edges": lambda: dinv.physics.Blur(torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None], "circular"),
    "mixed channels": lambda: linear(
        lambda x: torch.einsum("dc,bchw->bdhw", MIXED, x), lambda y: torch.einsum("dc,bdhw->bchw", MIXED, y)
    ),
    "projections": lambda: dinv.physics.Tomography(angles=16, img_width=16),
    "complex": lambda: linear(torch.fft.fft2, lambda y: torch.fft.ifft2(y).real),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_operator_that_maps_images_to_images_is_recognised(name):
    make, steps, first = IMAGES[name]
    geometry = image_geometry(make(), torch.zeros(2, *SIZE))
    assert geometry is not None
    assert geometry.steps == steps
    assert geometry.first == pytest.approx(first, abs=0.1)


def test_an_image_is_recognised_whose_middle_is_missing():
    """Near the border a circular blur wraps the ramps around; the start was a pseudo-inverse, the range unbounded."""
    mask = torch.ones(3, 96, 96)
    mask[:, 8:72, 20:80] = 0
    physics = dinv.physics.Inpainting((3, 96, 96), mask=mask) * dinv.physics.Blur(GAUSSIAN, "circular")
    geometry = image_geometry(physics, torch.zeros(1, 3, 96, 96))
    assert geometry is not None and geometry.steps == [[1, 0], [0, 1]]


@pytest.mark.parametrize("name", OTHERS)
def test_a_measurement_is_no_image_because_its_shape_is_one(name):
    physics = OTHERS[name]()
    like = torch.zeros(1, 1, 16, 16) if name == "projections" else torch.zeros(1, 3, 16, 16)
    assert image_geometry(physics, like) is None


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("scale", [1.0, 1 / 64])
def test_the_start_is_close_to_the_image_in_any_range(name, scale, images):
    physics, x = IMAGES[name][0](), scale * images(2, *SIZE)
    if name == "grey":
        x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    start = starting_point(physics.A(x), physics)
    assert start.shape == x.shape
    assert (start - x).abs().mean() < 0.08 * scale
    assert torch.allclose(starting_point(physics.A(x[:1]), physics), start[:1], atol=1e-6 * scale)


def test_a_cropped_measurement_is_padded_by_replication(images):
    physics = dinv.physics.SpaceVaryingBlur(
        filters=torch.ones(1, 1, 1, 3, 5) / 15, multipliers=torch.ones(1, 1, 1, *SIZE[1:]), padding="valid"
    )
    y = physics.A(images(1, *SIZE))
    start, words = described_start(y, physics)
    assert torch.allclose(start[..., 1:-1, 2:-2], y)
    assert torch.equal(start[..., 0, 0], start[..., 1, 2])
    assert words == "the measurement, padded by replication"


def test_dark_borders_of_a_blur_with_zeros_around_are_brightened():
    physics = dinv.physics.Blur(torch.ones(1, 1, 5, 5) / 25, "constant")
    white = torch.ones(1, *SIZE)
    assert torch.allclose(starting_point(physics.A(white), physics), white)


def test_a_mask_of_weights_is_a_gain(images):
    mask = torch.rand(1, 1, *SIZE[1:], generator=torch.Generator().manual_seed(0)).clamp_min(0.2)
    mask[..., 5:8, 5:8] = 0
    physics = dinv.physics.Inpainting(SIZE, mask=mask)
    x = images(2, *SIZE)
    start = starting_point(physics.A(x), physics)
    known = (mask > 0).expand_as(x)
    assert torch.allclose(start[known], x[known], atol=1e-5)
    assert (start - x).abs().mean() < 0.01


def test_what_is_remembered_in_inference_mode_serves_autograd(images):
    physics, x = dinv.physics.Blur(GAUSSIAN, "constant"), images(1, *SIZE)
    with torch.inference_mode():
        starting_point(physics.A(x), physics)
    y = physics.A(x).requires_grad_()
    starting_point(y, physics).sum().backward()
    assert y.grad is not None


def test_several_measurements_start_from_the_one_that_explains_all(images):
    x = images(1, *SIZE)
    physics = dinv.physics.StackedLinearPhysics(
        [dinv.physics.Downsampling(SIZE, "gaussian", 4), dinv.physics.Blur(GAUSSIAN, "circular")]
    )
    assert torch.equal(starting_point(physics.A(x), physics), physics.A(x)[1])


@pytest.mark.parametrize("failure", ["raises", "is nonsense", "has another shape"])
def test_a_pseudo_inverse_that_fails_is_not_needed(failure, images):
    class Odd(LinearPhysics):
        def A(self, x, **kwargs):
            return torch.fft.fft2(x, norm="ortho").real

        def A_adjoint(self, y, **kwargs):
            return torch.fft.fft2(y, norm="ortho").real

        def A_dagger(self, y, **kwargs):
            if failure == "raises":
                raise AttributeError("super")
            return 50 * self.A_adjoint(y) if failure == "is nonsense" else y[..., :5]

    physics = Odd()
    y = physics.A(images(1, *SIZE))
    start, words = described_start(y, physics)
    assert "conjugate gradients" in words
    assert torch.allclose(physics.A(start), y, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_reductions_of_odd_sizes_are_restored(factor, unet, images):
    x = images(1, 3, 22, 19)
    for physics in (
        dinv.physics.Downsampling((3, 22, 19), "bicubic", factor),
        dinv.physics.Upsampling((3, 22, 19), "bicubic", factor),
    ):
        seen = x if type(physics) is dinv.physics.Downsampling else physics.A_adjoint(x)
        y = physics.A(seen)
        assert DAEP(0.02, denoiser=unet, max_iter=2)(y, physics).shape == seen.shape


def test_a_physics_of_several_scales_is_restored(unet, images):
    """deepinv 0.5.0: its pseudo-inverse and its proximal step raise AttributeError."""
    physics = dinv.physics.LinearPhysicsMultiScaler(dinv.physics.BlurFFT(SIZE, GAUSSIAN), SIZE)
    physics.set_scale(1)
    x = images(1, 3, 12, 18)
    assert DAEP(0.02, denoiser=unet, max_iter=2)(physics.A(x), physics).shape == x.shape


RESTORED = {
    "single pixel": (lambda: dinv.physics.SinglePixelCamera(600, (1, 64, 64)), 23.5),
    "colours": (dinv.physics.Decolorize, 19.0),
    "cropped": (lambda: dinv.physics.Downsampling((3, 64, 64), "gaussian", 2, padding="valid"), 21.0),
}


@pytest.mark.parametrize("name", RESTORED)
def test_what_was_started_wrongly_is_restored(name, shipped, photograph):
    """From the measurement as it is, its pseudo-inverse and a black border: 14.5, 10.7 and 10.8 dB."""
    make, least = RESTORED[name]
    physics = make()
    physics.set_noise_model(dinv.physics.GaussianNoise(0.01, rng=torch.Generator().manual_seed(0)))
    x = photograph[..., 20:84, 20:84]
    x = x.mean(1, keepdim=True) if name == "single pixel" else x
    out = DAEP(0.01, preset="fast", denoiser=shipped("dae"))(physics(x), physics)
    assert float(-10 * (out - x).square().mean().log10()) > least


def test_a_kernel_of_one_row_is_restored(shipped, photograph):
    """deepinv 0.5.0: its adjoint is wrong under ``replicate``, and fails under ``reflect``."""
    x = photograph[..., 20:68, 20:68]
    for padding in ("replicate", "reflect"):
        physics = dinv.physics.Blur(torch.ones(1, 1, 1, 6) / 6, padding)
        with pytest.warns(UserWarning, match="A_adjoint of Blur .* automatic differentiation"):
            out = DAEP(0.0, preset="fast", denoiser=shipped("dae"))(physics.A(x), physics)
        assert float(-10 * (out - x).square().mean().log10()) > 30


def test_a_blur_and_reduction_by_hand_starts_where_it_lies(images):
    x = images(1, 3, 24, 36)
    physics = degradation(KERNEL[0, 0], 2, padding="circular")
    assert (starting_point(physics.A(x), physics) - x).abs().mean() < 0.08


def test_a_blurred_volume_is_its_own_first_image():
    physics = dinv.physics.Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding="circular")
    y = torch.rand(1, 1, 6, 24, 24, generator=torch.Generator().manual_seed(0))
    start, words = described_start(y, physics)
    assert words == "the measurement" and float((start / y).std()) < 1e-5
    masked = dinv.physics.Inpainting((1, 6, 24, 24), mask=0.5, rng=torch.Generator().manual_seed(0))
    assert described_start(masked.A(y), masked)[1] != "the measurement"


@pytest.mark.parametrize("seed", range(4))
def test_an_image_starts_alike_alone_and_in_a_batch(seed):
    """Of a small image and a wide kernel, the measurement is hardly an image."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.rand(1, 1, 3, 6, generator=generator)
    physics = dinv.physics.BlurFFT((1, 4, 6), kernel / kernel.sum())
    y = physics.A(torch.rand(3, 1, 4, 6, generator=generator))
    together = starting_point(y, physics)
    for i in range(3):
        assert torch.allclose(together[i : i + 1], starting_point(y[i : i + 1], physics), atol=1e-4)


def test_pixels_that_a_sampling_operator_does_not_see_are_interpolated(images):
    """Sine coefficients of each row with random signs; the upper and lower rows are not measured."""
    x = 0.5 + 0.1 * images(1, 1, 32, 32)
    physics = dinv.physics.StructuredRandom((1, 32, 32), (1, 24, 24), rng=torch.Generator().manual_seed(0))
    start, words = described_start(physics.A(x), physics)
    assert words.endswith("unseen pixels interpolated")
    assert float(physics.A_adjoint(physics.A(x))[..., 0, :].abs().max()) < 1e-5
    assert float((start - x)[..., :4, :].square().mean().sqrt()) < 0.25


def test_pixels_outside_a_tomograph_are_empty(images):
    physics = dinv.physics.Tomography(angles=40, img_width=24, circle=True, normalize=True)
    x = torch.zeros(1, 1, 24, 24)
    x[..., 8:16, 8:16] = images(1, 1, 8, 8)
    start, words = described_start(physics.A(x), physics)
    assert "interpolated" not in words
    assert float(start[..., 0, 0].abs()) < 0.05
