"""The noise of a blurred measurement by frequency: white, coloured, shared by the channels."""

from __future__ import annotations

import math

import deepinv as dinv
import pytest
import skimage.data
import torch
from deepinv.physics import Blur
from deepinv.physics.functional import gaussian_blur

from daep_deepinv.noise.spectrum import NoiseSpectrum
from daep_deepinv.noise_estimation.spectrum_fit import noise_spectra

FINE, COARSE = (0.48, 0.68), (0.16, 0.32)


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    """A photograph with fur: texture that looks like noise; (1, 3, 200, 200)."""
    return torch.from_numpy(skimage.data.cat()[50:250, 100:300] / 255).float().permute(2, 0, 1)[None]


def gaussian(width: float, padding: str = "valid") -> Blur:
    return Blur(gaussian_blur(sigma=(width, width)), padding=padding)


def motion(**kwargs) -> Blur:
    """Eleven pixels long, which lets detail across its direction through."""
    kernel = torch.zeros(1, 1, 11, 11)
    kernel[..., range(11), range(11)] = 1 / 11
    return Blur(kernel, padding="valid", **kwargs)


BLURS = {"Gaussian": gaussian(1.6), "circular": gaussian(1.6, "circular"), "motion": motion()}


def field(shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def levels(noise, group) -> list[float]:
    """Of 255, in the mean and in the differences."""
    return [255 * spectrum.level(*group)[0] for spectrum in noise]


@pytest.mark.parametrize("level", [1.0, 2.55, 12.75])
@pytest.mark.parametrize("name", BLURS)
def test_white_noise_is_found_at_every_frequency(name, level, photograph) -> None:
    y = BLURS[name](photograph)
    (noise,) = noise_spectra(y + level / 255 * field(y.shape), BLURS[name], photograph)
    assert levels(noise, FINE) == pytest.approx([level, level], rel=0.1)
    assert levels(noise, COARSE)[1] == pytest.approx(level, rel=0.2)
    value, most = noise.differences.level(*FINE)
    assert value < most < 1.2 * value


def test_averaged_noise_has_the_spectrum_of_the_average(photograph) -> None:
    y = BLURS["motion"](photograph)
    shape = (*y.shape[:2], *(n + 2 for n in y.shape[2:]))
    y = y + 0.06 * torch.nn.functional.avg_pool2d(field(shape), 3, 1)
    (noise,) = noise_spectra(y, BLURS["motion"], photograph)
    known = noise.differences.known(COARSE[0], 1e-8)
    angles = torch.linspace(0, math.pi / 2, 65)
    for frequency in (0.2, 0.25, 0.3):
        rows, cols = ((1 + 2 * torch.cos(2 * math.pi * frequency * part)) / 3 for part in (angles.cos(), angles.sin()))
        expected = 0.06**2 * float((rows * cols).square().mean())
        assert float(known.at(torch.tensor([frequency]))) == pytest.approx(expected, rel=0.3)
    assert noise.differences.level(*FINE)[0] < 0.3 * noise.differences.level(*COARSE)[0]


def test_shared_noise_is_in_the_mean_alone(photograph) -> None:
    y = BLURS["motion"](photograph)
    (noise,) = noise_spectra(y + 0.02 * field((1, 1, *y.shape[2:])), BLURS["motion"], photograph)
    assert levels(noise, FINE)[0] == pytest.approx(255 * 0.02 * math.sqrt(3), rel=0.15)
    assert max(levels(noise, group)[1] for group in (COARSE, FINE)) < 0.5


def test_bright_parts_that_are_cut_off_do_not_make_noise_shared(photograph) -> None:
    """A third of the measurement has no noise at all, and the others what they have."""
    y = BLURS["Gaussian"](photograph)
    y = (y + 5 / 255 * field(y.shape)).clamp(0, 1)
    y[..., : y.shape[2] // 3] = 1.0
    (noise,) = noise_spectra(y, BLURS["Gaussian"], photograph)
    of_mean, of_differences = levels(noise, FINE)
    assert of_differences == pytest.approx(of_mean, rel=0.1)
    assert of_differences > 3.5


def test_each_image_of_a_batch_has_its_own_noise_and_blur(photograph) -> None:
    kernels = torch.zeros(2, 1, 9, 9)
    kernels[0, 0, 4], kernels[1, 0, :, 4] = 1 / 9, 1 / 9
    physics = Blur(kernels, padding="valid")
    y = physics(photograph.expand(2, -1, -1, -1))
    y = y + torch.tensor([0.01, 0.04]).view(2, 1, 1, 1) * field(y.shape)
    both = noise_spectra(y, physics, photograph.expand(2, -1, -1, -1))
    assert [levels(noise, FINE)[1] for noise in both] == pytest.approx([2.55, 10.2], rel=0.1)
    for i in range(2):
        (alone,) = noise_spectra(y[i : i + 1], Blur(kernels[i : i + 1], padding="valid"), photograph)
        assert torch.allclose(alone.mean.power, both[i].mean.power, rtol=1e-4)


def test_a_blur_that_hides_nothing_is_that_of_its_own_image_alone(photograph) -> None:
    kernels = torch.cat([gaussian_blur(sigma=(width, width), psf_size=(9, 9)) for width in (0.4, 1.6)])
    physics = Blur(kernels, padding="valid")
    y = physics(photograph.expand(2, -1, -1, -1))
    hidden, shown = noise_spectra(y, physics, photograph.expand(2, -1, -1, -1))
    assert hidden is None and shown is not None


def test_a_grey_image_has_no_differences(photograph) -> None:
    grey = photograph.mean(1, keepdim=True)
    y = BLURS["Gaussian"](grey)
    (noise,) = noise_spectra(y + 0.01 * field(y.shape), BLURS["Gaussian"], grey)
    assert noise.differences is None
    assert 255 * noise.mean.level(*FINE)[0] == pytest.approx(2.55, rel=0.1)


def test_a_large_image_is_sampled(photograph, monkeypatch) -> None:
    monkeypatch.setattr("daep_deepinv.noise_estimation.spectrum_fit.MAX_SEGMENTS", 8)
    y = BLURS["Gaussian"](photograph)
    (noise,) = noise_spectra(y + 0.01 * field(y.shape), BLURS["Gaussian"], photograph)
    assert levels(noise, FINE)[1] == pytest.approx(2.55, rel=0.15)


class Mixing(Blur):
    """The channels are not treated alike."""

    def A(self, x, **kwargs):
        return super().A(x, **kwargs) * torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1)


class Moving(Blur):
    """The blur is not the same everywhere."""

    def A(self, x, **kwargs):
        y = super().A(x, **kwargs)
        return y * torch.linspace(0.5, 1, y.shape[-1])


@pytest.mark.parametrize(
    "physics",
    [
        gaussian(0.4),
        Mixing(gaussian_blur(sigma=(1.6, 1.6)), padding="valid"),
        Moving(gaussian_blur(sigma=(1.6, 1.6)), padding="valid"),
        dinv.physics.Denoising(),
        dinv.physics.Inpainting((3, 200, 200), mask=0.5),
        dinv.physics.Downsampling((3, 200, 200), filter="bicubic", factor=2),
    ],
    ids=["hardly a blur", "channels", "places", "nothing", "holes", "small"],
)
def test_what_is_no_blur_says_nothing(photograph, physics) -> None:
    assert noise_spectra(physics.A(photograph), physics, photograph) == [None]


def test_a_few_pixels_and_other_measurements_say_nothing(photograph) -> None:
    small = photograph[..., :90, :90]
    assert noise_spectra(gaussian(1.6)(small), gaussian(1.6), small) == [None]
    sensed = dinv.physics.CompressedSensing(m=50, img_size=(3, 16, 16))
    image = photograph[..., :16, :16]
    assert noise_spectra(sensed.A(image), sensed, image) == [None]


def test_a_flat_measurement_holds_no_noise() -> None:
    flat = torch.full((1, 3, 128, 128), 0.5)
    (noise,) = noise_spectra(BLURS["Gaussian"](flat), BLURS["Gaussian"], flat)
    assert max(levels(noise, FINE)) < 1e-3


def test_between_known_frequencies_the_power_is_geometric_and_beyond_them_the_same() -> None:
    spectrum = NoiseSpectrum(*(torch.tensor(v) for v in ([0.1, 0.2, 0.4], [4.0, 1.0, 9.0], [0.1, 0.9, 0.1])))
    at = spectrum.at(torch.tensor([[0.0, 0.1, 0.15], [0.2, 0.3, 0.7]]))
    assert torch.allclose(at, torch.tensor([[4.0, 4.0, 2.0], [1.0, 3.0, 9.0]]))
    known = spectrum.known(0.05, 5.0)
    assert known.frequency.tolist() == pytest.approx([0.1, 0.4])
    assert known.power.tolist() == [5.0, 9.0]
    assert spectrum.known(0.15, 0.0) is None
    assert torch.equal(spectrum.scaled(3).power, 9 * spectrum.power)
