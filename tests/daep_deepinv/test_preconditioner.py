"""The preconditioner of a blur's unmeasured values, and the strips on which it acts."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv.data_terms import fourier_blur, preconditioner
from daep_deepinv.data_terms.border_strips import BorderStrips
from daep_deepinv.data_terms.fourier_blur import FourierBlur, fast_length
from daep_deepinv.data_terms.unmeasured import Border, Masked
from daep_deepinv.linear_algebra.preconditioned import preconditioned_conjugate_gradients

SIZE = (120, 100)


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(side=11, deviation=1.6):
    profile = torch.exp(-(torch.arange(side, dtype=torch.float64) - side // 2).square() / (2 * deviation**2))
    kernel = profile[:, None] * profile
    return kernel / kernel.sum()


@pytest.mark.parametrize(("top", "left"), [(6, 4), (3, 10), (12, 12)])
def test_the_strips_are_the_convolution_between_the_border_pixels(top, left):
    kernels = rand(2, 3, top + 1, left + 1)
    spectrum = 1 + 3 * torch.fft.rfft2(kernels, s=SIZE).abs().square()
    border, values = Border(top, left, SIZE, 3), rand(2, 3, top * SIZE[1] + (SIZE[0] - top) * left, seed=1)
    assert BorderStrips.fits(border)
    direct = border.of(torch.fft.irfft2(spectrum * torch.fft.rfft2(border.embed(values)), s=SIZE))
    assert torch.allclose(BorderStrips(border, spectrum)(values), direct, atol=1e-10)


def test_a_border_that_fills_the_image_has_no_strips():
    assert not BorderStrips.fits(Border(60, 4, SIZE, 3))
    assert not BorderStrips.fits(Border(0, 4, SIZE, 3))


def iterations(monkeypatch, blur, x, weight, unused=None, most=400):
    """Conjugate gradient iterations of a step from the start."""
    made = []

    def counted(normal, rhs, inverse, bound, limit):
        def once(v):
            made.append(1)
            return normal(v)

        return preconditioned_conjugate_gradients(once, rhs, inverse, bound, limit)

    monkeypatch.setattr(fourier_blur, "preconditioned_conjugate_gradients", counted)
    blur.prox(x, weight, 1e-4, most, unused)
    return len(made)


def problem():
    """A smooth blur with weak noise, and a step from a grey image."""
    physics = dinv.physics.Blur(gaussian()[None, None], padding="valid")
    scene = rand(1, 1, *SIZE, seed=2)
    noise = torch.randn(1, 1, SIZE[0] - 10, SIZE[1] - 10, generator=torch.Generator().manual_seed(3))
    return physics, torch.full_like(scene, 0.5), physics.A(scene) + 0.01 * noise


@pytest.mark.parametrize("kind", ["border", "area", "scattered"])
def test_it_saves_iterations_and_leaves_the_result(monkeypatch, kind):
    physics, x, y = problem()
    unused = None if kind == "border" else torch.zeros_like(y, dtype=torch.bool)
    if kind == "area":
        unused[..., 40:60, 30:70] = True
    if kind == "scattered":
        unused = rand(*y.shape, seed=4) < 0.02
    fast = iterations(monkeypatch, FourierBlur(physics, y, SIZE), x, 1e3, unused)
    result = FourierBlur(physics, y, SIZE).prox(x, 1e3, 1e-8, 5000, unused)
    monkeypatch.setattr(fourier_blur, "preconditioner", lambda *_: lambda values: values)
    slow = iterations(monkeypatch, FourierBlur(physics, y, SIZE), x, 1e3, unused)
    plain = FourierBlur(physics, y, SIZE).prox(x, 1e3, 1e-8, 5000, unused)
    assert fast < 0.75 * slow and torch.allclose(result, plain, atol=1e-4)


def test_fifty_iterations_are_enough_for_weak_noise(monkeypatch):
    """Without the preconditioner, 50 ended far from the border of a smooth blur: 0.7 to 1.3 dB less."""
    physics, x, y = problem()
    assert iterations(monkeypatch, FourierBlur(physics, y, SIZE), x, 2e3) < 50
    monkeypatch.setattr(fourier_blur, "preconditioner", lambda *_: lambda values: values)
    assert iterations(monkeypatch, FourierBlur(physics, y, SIZE), x, 2e3) > 50


def test_areas_and_scattered_values_are_told_apart_for_each_image():
    mask = torch.zeros(3, 1, 20, 20)
    mask[0, :, 5:15, 5:15] = 1
    mask[1, :, ::4, ::4] = 1
    mask[:, :, :4], mask[:, :, :, :4] = 1, 1
    border = Border(4, 4, (20, 20), 1)
    assert Masked(mask).in_areas(border, torch.zeros(3, 1, 16, 16)).tolist() == [True, False, True]


def test_an_image_is_treated_alike_alone_and_in_a_batch():
    physics, x, y = problem()
    ys, xs = torch.cat([y, y]), torch.cat([x, x])
    unused = torch.zeros_like(ys, dtype=torch.bool)
    unused[0, :, 40:60, 30:70] = True
    unused[1] = rand(*y.shape[1:], seed=4) < 0.05
    together = FourierBlur(physics, ys, SIZE).prox(xs, 50.0, 1e-4, 100, unused)
    for i in range(2):
        alone = FourierBlur(physics, y, SIZE).prox(x, 50.0, 1e-4, 100, unused[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-12)


def test_coloured_noise_has_the_whole_image(monkeypatch):
    physics, x, y = problem()
    monkeypatch.setattr(preconditioner, "BorderStrips", None)  # its filter is not narrow
    blur = FourierBlur(physics, y, SIZE, lambda frequency: 1 / (0.2 + frequency))
    v = blur.prox(x, 5.0, 1e-10, 500)
    assert v.shape == x.shape and bool(v.isfinite().all())


def test_fast_lengths_have_small_prime_factors():
    assert [fast_length(n) for n in (1, 11, 13, 256, 284, 3028)] == [1, 12, 14, 256, 288, 3072]
