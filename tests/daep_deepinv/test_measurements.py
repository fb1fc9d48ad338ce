"""Measurements that people have beyond white Gaussian noise of a stated level on colour images in [0, 1].

One section a kind: noise, range and number type, channels and numbers, operators, the prior in deepinv's algorithms.
The floors are those of another way to the same result: the level given, the image scaled by hand, conjugate gradients,
or deepinv's own algorithms with the same network.
"""

import threading
import warnings

import deepinv as dinv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deepinv.models import AnscombeDenoiser
from deepinv.optim import DPIR, HQS, L2, PGD, PnP
from deepinv.optim.phase_retrieval import correct_global_phase, spectral_methods
from deepinv.physics import (
    MRI,
    Blur,
    BlurFFT,
    CompressiveSpectralImaging,
    Decolorize,
    Denoising,
    Downsampling,
    GaussianNoise,
    Inpainting,
    LinearPhysics,
    LinearPhysicsMultiScaler,
    LogPoissonNoise,
    MultiCoilMRI,
    Pansharpen,
    PoissonGaussianNoise,
    PoissonNoise,
    RandomPhaseRetrieval,
    SinglePixelCamera,
    SpaceVaryingBlur,
    Tomography,
    Upsampling,
    stack,
)
from deepinv.physics.functional import gaussian_blur
from deepinv.utils import TensorList
from skimage import data

from daep_deepinv import DAEP, DAEDenoiser, DAEPrior, SignalNoise

#: dB: numbers that should be equal.
EQUAL = 0.15
#: dB: numbers that should be close.
CLOSE = 0.3
#: Side of most images, in pixels.
SIZE = 48
KERNEL = gaussian_blur(sigma=(1.2, 1.2))


def crop(photograph, top, left, height=SIZE, width=None):
    """Part of a photograph, (1, C, H, W) in [0, 1]."""
    part = photograph[top : top + height, left : left + (width or height)]
    return torch.from_numpy(np.atleast_3d(part).copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def cat():
    """Colour."""
    return crop(data.chelsea(), 96, 118)


@pytest.fixture(scope="module")
def grey(cat):
    return cat.mean(1, keepdim=True)


@pytest.fixture(scope="module")
def brick():
    """Grey, full of texture."""
    return crop(data.brick(), 100, 100, 64)


@pytest.fixture(scope="module")
def net():
    return DAEPrior().denoiser


@pytest.fixture(scope="module")
def complex_image():
    """(1, 2, H, W): a photograph with a smooth phase."""
    magnitude = crop(data.camera(), 158, 238)
    phase = torch.linspace(-0.7, 0.7, SIZE)[:, None] + 0.4 * torch.linspace(-2, 2, SIZE).cos()
    x = torch.polar(magnitude, phase.expand_as(magnitude))
    return torch.cat([x.real, x.imag], 1)


def psnr(a, b):
    return float(-10 * (a - b).abs().square().mean().log10())


def noise(y, level, seed=0):
    return y + level * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))


def measured(physics, x, seed=0):
    """``physics(x)`` with noise from a seed."""
    torch.manual_seed(seed)
    return physics(x)


def rms(physics, x, y):
    return float((y - physics.A(x)).square().mean().sqrt())


class Channelwise(torch.nn.Module):
    """A grey denoiser for each channel of any number, as deepinv's users write it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma=None, **kwargs):
        if x.is_complex():
            return torch.complex(self(x.real, sigma), self(x.imag, sigma))
        return self.net(x.flatten(0, 1)[:, None], sigma)[:, 0].unflatten(0, x.shape[:2])


def coils(x):
    """Maps (1, 4, H, W) whose squares sum to one."""
    rows = torch.linspace(-1, 1, x.shape[-1])
    corners = [(a, b) for a in (-1, 1) for b in (-1, 1)]
    maps = torch.stack([torch.exp(-((rows[:, None] - a) ** 2 + (rows - b) ** 2) / 3) for a, b in corners])
    return torch.polar(maps / maps.square().sum(0).sqrt(), torch.arange(4.0).reshape(-1, 1, 1).expand_as(maps))[None]


def columns(x, share):
    width = x.shape[-1]
    kept = torch.rand(width, generator=torch.Generator().manual_seed(0)) < share
    kept[width // 2 - 4 : width // 2 + 4] = True
    return kept.float().expand(1, 1, x.shape[-2], width)


# -- noise ---------------------------------------------------------------------------------------------------------


def test_a_stack_is_restored_for_the_noise_of_its_parts(cat):
    physics = stack(
        BlurFFT(cat.shape[1:], KERNEL, noise_model=GaussianNoise(0.03)),
        BlurFFT(cat.shape[1:], KERNEL.mT, noise_model=GaussianNoise(0.03)),
    )
    y = measured(physics, cat)
    model = DAEP(preset="fast")
    assert psnr(model(y, physics), cat) > psnr(DAEP(0.03, preset="fast")(y, physics), cat) - EQUAL
    assert model.noise_level == pytest.approx([0.03], rel=0.05)


@pytest.mark.parametrize(("blur", "mask", "gain"), [(0.01, 0.1, 0.7), (0.1, 0.01, 0.9)])
def test_parts_of_a_stack_are_weighted_by_their_noise(cat, blur, mask, gain):
    wide = gaussian_blur(sigma=(2.0, 2.0))
    missing = Inpainting(cat.shape[1:], mask=0.5, rng=torch.Generator().manual_seed(0), noise_model=GaussianNoise(mask))
    physics = stack(BlurFFT(cat.shape[1:], wide, noise_model=GaussianNoise(blur)), missing)
    y = measured(physics, cat)
    level = ((blur**2 + mask**2) / 2) ** 0.5
    stated, one = (psnr(DAEP(s, preset="fast", check_noise=False)(y, physics), cat) for s in (None, level))
    assert stated > one + gain


def space_varying(x, padding, **options):
    narrow, wide = gaussian_blur(sigma=(0.8, 0.8)), gaussian_blur(sigma=(1.6, 1.6))
    border = (wide.shape[-1] - narrow.shape[-1]) // 2
    filters = torch.stack([F.pad(narrow, [border] * 4), wide], 2)
    ramp = torch.linspace(0, 1, x.shape[-1]).expand(1, 1, *x.shape[-2:])
    parameters = {"filters": filters, "multipliers": torch.stack([ramp, 1 - ramp], 2)}
    return SpaceVaryingBlur(padding=padding, **options), parameters


def test_a_noise_free_model_that_the_measurement_contradicts_is_not_believed(cat):
    physics, parameters = space_varying(cat, "constant")
    physics.update(**parameters)
    y = noise(physics.A(cat), 0.02)
    floor = psnr(DAEP(0.02, preset="fast")(y, physics), cat) - CLOSE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert psnr(DAEP(preset="fast")(y, physics), cat) > floor


@pytest.mark.parametrize(
    "model", [PoissonNoise(0.05), PoissonGaussianNoise(0.05, 0.01), PoissonGaussianNoise(0.02, 0.05)]
)
@pytest.mark.parametrize("kind", ["cat", "grey"])
def test_poisson_noise_is_removed_at_least_as_well_as_by_anscombes_transformation(kind, model, net, request):
    x = request.getfixturevalue(kind)
    physics = Denoising(model)
    y = measured(physics, x)
    found = psnr(DAEP()(y, physics), x)
    sigma = float(getattr(model, "sigma", 0.0))
    assert found > psnr(AnscombeDenoiser(net)(y, sigma, float(model.gain)), x) - EQUAL
    assert found > psnr(DAEP(rms(physics, x, y))(y, physics), x) - EQUAL


def test_raw_counts_are_images_of_their_gain(grey):
    normalised, raw = (Denoising(PoissonNoise(0.05, normalize=n)) for n in (True, False))
    y, counts = (measured(physics, grey) for physics in (normalised, raw))
    assert counts.max() > 2
    assert psnr(DAEP()(counts, raw), grey) == pytest.approx(psnr(DAEP()(y, normalised), grey), abs=EQUAL)


def test_poisson_noise_of_a_blurred_grey_image(grey):
    physics = Blur(KERNEL, padding="valid", noise_model=PoissonNoise(0.05))
    y = measured(physics, grey)
    given = psnr(DAEP(rms(physics, grey, y), preset="fast")(y, physics)[..., 4:-4, 4:-4], grey[..., 4:-4, 4:-4])
    assert psnr(DAEP(preset="fast")(y, physics)[..., 4:-4, 4:-4], grey[..., 4:-4, 4:-4]) > given - EQUAL


def test_counts_over_a_known_background(grey):
    physics, gain, background = Tomography(30, SIZE, normalize=True), 0.02, 0.5
    clean = physics.A(grey) + background
    y = gain * torch.poisson(clean / gain, generator=torch.Generator().manual_seed(0))
    subtracted = psnr(DAEP(rms(physics, grey, y - background), preset="fast")(y - background, physics), grey)
    stated = SignalNoise(gain=gain, background=background)
    assert psnr(DAEP(stated, preset="fast")(y, physics), grey) > subtracted - EQUAL


def test_the_background_of_a_physics_is_that_of_its_counts(grey):
    """As deepinv's ``PET`` keeps it."""
    physics, gain = Tomography(30, SIZE, normalize=True, noise_model=PoissonNoise(0.02)), 0.02
    clean = physics.A(grey) + 0.5
    y = gain * torch.poisson(clean / gain, generator=torch.Generator().manual_seed(0))
    silent = Tomography(30, SIZE, normalize=True)
    subtracted = psnr(DAEP(rms(silent, grey, y - 0.5), preset="fast")(y - 0.5, silent), grey)
    physics.background = torch.full_like(y, 0.5)
    assert psnr(DAEP(preset="fast")(y, physics), grey) > subtracted - EQUAL


def test_raw_counts_of_a_microscope(grey):
    """Photons behind a blur, counted, not scaled: as good as the counts in the units of the image."""
    gain = 0.02
    scaled, raw = (Blur(KERNEL, padding="valid", noise_model=PoissonNoise(gain, normalize=n)) for n in (True, False))
    y = measured(scaled, grey)
    inside = (..., slice(4, -4), slice(4, -4))
    found = [psnr(DAEP(preset="fast")(m, p)[inside], grey[inside]) for m, p in ((y, scaled), (y / gain, raw))]
    level = rms(scaled, grey, y)
    assert found[1] == pytest.approx(found[0], abs=0.05)
    assert found[0] > psnr(DAEP(level, preset="fast")(y, scaled)[inside], grey[inside]) - EQUAL
    assert found[0] > psnr(DPIR(level, denoiser=DAEDenoiser("dae"), device="cpu")(y, scaled)[inside], grey[inside])


def test_a_map_of_noise_levels(cat):
    level = torch.linspace(0.01, 0.15, SIZE).expand(1, 1, SIZE, SIZE)
    physics = Denoising(GaussianNoise())
    y = noise(cat, level)
    one = psnr(DAEP(float(level.square().mean().sqrt()), check_noise=False)(y, physics), cat)
    assert psnr(DAEP(level)(y, physics), cat) > one + 0.5


@pytest.mark.parametrize("given", [True, False])
def test_one_level_an_image(cat, given):
    levels = torch.tensor([0.02, 0.1])
    physics = Denoising(GaussianNoise(levels))
    x = cat.repeat(2, 1, 1, 1)
    y = noise(x, levels.reshape(2, 1, 1, 1))
    out = DAEP(levels if given else None)(y, physics)
    for i, level in enumerate(levels.tolist()):
        alone = DAEP(level)(y[i : i + 1], Denoising())
        assert out[i : i + 1].allclose(alone, atol=1e-5)


def test_estimated_level_of_a_tomography_that_is_not_normalised(grey):
    physics = Tomography(40, SIZE, normalize=False)
    physics.noise_model = LogPoissonNoise(N0=5e3, mu=0.02)
    y = measured(physics, grey)
    level = rms(physics, grey, y)
    model = DAEP("estimate", preset="fast")
    assert psnr(model(y, physics), grey) > psnr(DAEP(level, preset="fast")(y, physics), grey) - 0.5
    assert model.noise_level[0] == pytest.approx(level, rel=0.3)


def test_black_bars_hold_no_noise(cat):
    x = crop(data.chelsea(), 60, 80, 96, 96)
    y = noise(x, 25 / 255).clamp(0, 1)
    y[..., :12, :], y[..., -12:, :] = 0, 0
    model = DAEP("estimate")
    model.plan(y, Denoising())
    out = model(y, Denoising())
    assert model.noise_level[0] == pytest.approx(25 / 255, rel=0.05)
    assert (
        psnr(out[..., 12:-12, :], x[..., 12:-12, :])
        > psnr(DAEP(25 / 255)(y, Denoising())[..., 12:-12, :], x[..., 12:-12, :]) - EQUAL
    )


@pytest.mark.parametrize(
    "number", [np.float32(0.05), torch.tensor(0.05), np.array(0.05), torch.tensor([0.05]), np.float64(0.05)]
)
def test_every_type_that_holds_a_number_is_a_number(cat, number):
    y = noise(cat, 0.02)
    model = DAEP(number, check_noise=False)
    model(y, Denoising())
    assert model.noise_level == pytest.approx([0.05])


# -- range and number type -----------------------------------------------------------------------------------------


def scaled_psnr(physics, y, x, level, factor):
    return psnr(DAEP(factor * level, preset="fast")(factor * y, physics) / factor, x)


@pytest.mark.parametrize("factor", [1 / 16, 16])
@pytest.mark.parametrize("problem", ["super-resolution", "tomography"])
def test_the_same_for_small_images_and_projections(grey, problem, factor):
    physics = (
        Downsampling(grey.shape[1:], filter="gaussian", factor=2)
        if problem == "super-resolution"
        else Tomography(30, SIZE, normalize=True)
    )
    y = noise(physics.A(grey), 0.01)
    assert scaled_psnr(physics, y, grey, 0.01, factor) == pytest.approx(
        scaled_psnr(physics, y, grey, 0.01, 1), abs=EQUAL
    )


@pytest.mark.parametrize("brightest", [1.5, 3.0])
def test_brighter_images_are_not_clipped(cat, brightest):
    x = brightest * cat / cat.max()
    physics = BlurFFT(cat.shape[1:], KERNEL)
    y = noise(physics.A(x), 0.01 * brightest)
    unit = psnr(DAEP(0.01, preset="fast")(y / brightest, physics), x / brightest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = DAEP(0.01 * brightest, preset="fast")(y, physics)
    assert psnr(out / brightest, x / brightest) > unit - CLOSE


def test_a_result_that_saturates_warns(cat):
    physics = BlurFFT(cat.shape[1:], KERNEL)
    y = noise(physics.A(1.8 * cat / cat.max()), 0.01)
    with pytest.warns(UserWarning, match="(?i)satur|bounds|clip"):
        DAEP(0.01, preset="fast", scale=1.0, bounds=(0, 1))(y, physics)


@pytest.mark.parametrize(("factor", "shift"), [(255, 0), (1, -0.5)])
def test_other_ranges_with_an_estimated_level(cat, factor, shift):
    x = factor * cat + shift
    y = noise(x, 0.05 * factor)
    model = DAEP("estimate")
    assert psnr(model(y, Denoising()) / factor, x / factor) > psnr(DAEP(0.05)(noise(cat, 0.05), Denoising()), cat) - 0.5
    assert model.noise_level[0] == pytest.approx(0.05 * factor, rel=0.1)


def test_an_empty_batch_is_one_sentence():
    with pytest.raises(ValueError, match="y: got shape"):
        DAEP("estimate")(torch.zeros(0, 3, 32, 32), Denoising())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(cat, dtype):
    cat = cat[..., :32, :32]
    physics = Blur(KERNEL, padding="circular")
    y = noise(physics.A(cat), 0.01)
    single = psnr(DAEP(0.01, preset="fast")(y, physics), cat)
    half = Blur(KERNEL.to(dtype), padding="circular")
    assert psnr(DAEP(0.01, preset="fast")(y.to(dtype), half).float(), cat) > single - 0.5


# -- channels and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [False, True])
def test_magnetic_resonance_images_are_ahead_of_dpir(complex_image, net, several):
    mask = columns(complex_image, 0.15)
    physics = MultiCoilMRI(mask, coils(complex_image), (SIZE, SIZE)) if several else MRI(mask, (SIZE, SIZE))
    physics.noise_model = GaussianNoise(0.02)
    y = measured(physics, complex_image)
    peer = psnr(DPIR(0.02, Channelwise(net))(y, physics), complex_image)
    assert psnr(DAEP(0.02)(y, physics), complex_image) > peer + CLOSE


def test_a_denoiser_of_two_channels_of_the_users(complex_image, net):
    physics = MRI(columns(complex_image, 0.15), (SIZE, SIZE))
    y = noise(physics.A(complex_image), 0.02) * physics.mask
    own = DAEP(0.02, Channelwise(net), preset="fast")(y, physics)
    assert psnr(own, complex_image) > psnr(DPIR(0.02, Channelwise(net))(y, physics), complex_image) - CLOSE


def bands(cat, count):
    weights = torch.linspace(0, 1, count)
    return torch.stack([(1 - w) * cat[:, 2] + w * cat[:, 0] ** (0.7 + w) for w in weights.tolist()], 1)


@pytest.mark.parametrize("count", [2, 5])
def test_any_number_of_channels(cat, net, count):
    x = bands(cat, count)
    physics = BlurFFT(x.shape[1:], KERNEL, noise_model=GaussianNoise(0.02))
    y = measured(physics, x)
    assert psnr(DAEP()(y, physics), x) > psnr(DPIR(0.02, Channelwise(net))(y, physics), x) + EQUAL


def test_pansharpening_of_four_bands(cat, net):
    x = bands(cat, 4)
    physics = Pansharpen(x.shape[1:], noise_color=GaussianNoise(0.02), noise_gray=GaussianNoise(0.02))
    y = measured(physics, x)
    assert psnr(DAEP(0.02)(y, physics), x) > psnr(DPIR(0.02, Channelwise(net))(y, physics), x) + EQUAL


def test_a_complex_measurement_of_a_real_image(grey, net):
    mask = (torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    mask[..., :4, :4], mask[..., -3:, :4], mask[..., :4, -3:], mask[..., -3:, -3:] = 1, 1, 1, 1
    physics = LinearPhysics(
        A=lambda x, **k: mask * torch.fft.fft2(x, norm="ortho"),
        A_adjoint=lambda y, **k: torch.fft.ifft2(mask * y, norm="ortho").real,
    )
    clean = physics.A(grey)
    y = clean + mask * 0.02 * torch.view_as_complex(
        torch.randn(*clean.shape, 2, generator=torch.Generator().manual_seed(0))
    )
    assert psnr(DAEP(0.02)(y, physics), grey) > psnr(DPIR(0.02, net)(y, physics), grey) - EQUAL


@pytest.mark.parametrize("kind", ["blur", "dynamic"])
def test_volumes_are_restored_slice_by_slice(complex_image, kind):
    if kind == "blur":
        x = torch.stack([crop(data.camera(), 150, 230 + 2 * i, 32) for i in range(4)], 2)
        physics = Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding="circular")
    else:
        x = torch.stack([complex_image.roll(i, -1) for i in range(3)], 2)
        mask = columns(complex_image, 0.2)[:, :, None].expand(1, 1, 3, SIZE, SIZE)
        physics = dinv.physics.DynamicMRI(mask, (SIZE, SIZE))
    y = noise(physics.A(x), 0.02)
    y = y * physics.mask if kind == "dynamic" else y
    out = DAEP(0.02, preset="fast")(y, physics)
    assert out.shape == x.shape
    assert psnr(out, x) > psnr(physics.A_adjoint(y), x) + 1


# -- operators -----------------------------------------------------------------------------------------------------


def test_a_measurement_of_an_images_shape_is_not_an_image(brick, net):
    physics = SinglePixelCamera(m=600, img_size=brick.shape[1:], fast=True)
    y = noise(physics.A(brick), 0.01)
    y = y * (physics.mask != 0)
    out = psnr(DAEP(0.01)(y, physics), brick)
    assert out > psnr(DAEP(0.01)(y, physics, init=physics.A_adjoint(y)), brick) - EQUAL
    assert out > psnr(DPIR(0.01, net)(y, physics), brick) - EQUAL
    fast = DAEP(0.01, preset="fast")
    assert psnr(fast(y, physics), brick) > psnr(fast(y, physics, init=physics.A_adjoint(y)), brick) - EQUAL


def plain(physics):
    """The same operator without deepinv's closed forms."""
    return LinearPhysics(A=lambda x, **k: physics.A(x), A_adjoint=lambda y, **k: physics.A_adjoint(y))


def test_a_wrong_closed_proximal_step_is_not_used(brick, cat):
    small = brick[..., :32, :32].contiguous()
    for x, physics in ((small, SinglePixelCamera(m=400, img_size=small.shape[1:], fast=False)), (cat, Decolorize())):
        y = noise(physics.A(x), 0.01)
        start = plain(physics).A_dagger(y)
        by_gradients = psnr(DAEP(0.01, preset="fast")(y, plain(physics), init=start), x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert psnr(DAEP(0.01, preset="fast")(y, physics, init=start), x) > by_gradients - CLOSE


def test_sizes_that_the_factor_does_not_divide(grey):
    x = crop(data.camera(), 158, 238, 46, 50)
    physics = Downsampling(x.shape[1:], filter="bicubic", factor=4)
    y = noise(physics.A(x), 0.01)
    out = DAEP(0.01, preset="fast")(y, physics)
    assert psnr(out, x) > psnr(F.interpolate(y, size=x.shape[-2:], mode="bicubic"), x) + 0.5
    up = Upsampling((1, 2 * 46, 2 * 50), filter="bicubic", factor=2)
    y = noise(up.A(x), 0.01)
    assert psnr(DAEP(0.01, preset="fast")(y, up), x) > 30


def test_a_multiscale_operator_without_a_pseudo_inverse(grey):
    base = BlurFFT(grey.shape[1:], KERNEL)
    physics = LinearPhysicsMultiScaler(base, grey.shape[1:])
    x = F.avg_pool2d(grey, 2)
    physics.set_scale(1)
    y = noise(physics.A(x), 0.01)
    assert psnr(DAEP(0.01, preset="fast")(y, physics), x) > psnr(physics.A_adjoint(y), x) + 3


def test_a_wrong_adjoint_of_deepinv_is_named():
    physics = CompressiveSpectralImaging((4, 32, 32), mode="sd", rng=torch.Generator().manual_seed(0))
    x = torch.rand(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    y = physics.A(x)
    if physics.adjointness_test(x).abs() < 1e-3:
        pytest.skip("deepinv has mended its adjoint")
    with pytest.warns(UserWarning, match="CompressiveSpectralImaging"):
        DAEP(0.01, preset="fast")(y, physics)


def test_a_kernel_of_one_row_under_replicate(grey):
    row = torch.ones(1, 1, 1, 6) / 6
    physics, padded = Blur(row, padding="replicate"), Blur(F.pad(row, (0, 0, 1, 1)), padding="replicate")
    y = physics.A(grey)
    right = psnr(DAEP(0, preset="fast")(padded.A(grey), padded), grey)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert psnr(DAEP(0, preset="fast")(y, physics), grey) > right - CLOSE


@pytest.mark.parametrize("kind", ["space-varying", "downsampling"])
def test_the_border_that_is_not_measured_is_not_black(cat, kind):
    if kind == "space-varying":
        physics, parameters = space_varying(cat, "valid")
        physics.update(**parameters)
        border = (SIZE - physics.A(cat).shape[-1]) // 2
    else:
        border = 6
        physics = Downsampling(cat.shape[1:], filter="gaussian", factor=2, padding="valid")
    y = noise(physics.A(cat), 0.01)
    out = DAEP(0.01, preset="fast")(y, physics)
    inside = cat[..., border:-border, border:-border]
    replicated = psnr(F.pad(inside, [border] * 4, mode="replicate"), cat)
    assert psnr(out, cat) > replicated - 0.5


def test_phase_retrieval():
    x = torch.polar(crop(data.camera(), 166, 246, 24), 0.7 * torch.linspace(-1, 1, 24).expand(1, 1, 24, 24))
    physics = RandomPhaseRetrieval(m=4 * 576, img_size=(1, 24, 24), rng=torch.Generator().manual_seed(0))
    y = noise(physics.A(x), 0.05 * float(physics.A(x).mean()))
    level = float((y - physics.A(x)).square().mean().sqrt())
    torch.manual_seed(0)
    first = psnr(correct_global_phase(spectral_methods(y, physics, n_iter=100), x), x)
    assert psnr(correct_global_phase(DAEP(level, preset="fast")(y, physics), x), x) > max(30, first + 3)


def test_the_level_may_be_given_in_the_call(cat):
    y = noise(cat, 0.1)
    assert DAEP()(y, Denoising(), sigma=0.1).equal(DAEP(0.1)(y, Denoising()))


def test_an_estimated_level_of_several_measurements(cat):
    physics = stack(BlurFFT(cat.shape[1:], KERNEL), BlurFFT(cat.shape[1:], KERNEL.roll(1, -1)))
    y = TensorList([noise(part, 0.03, seed) for seed, part in enumerate(physics.A(cat))])
    assert (
        psnr(DAEP("estimate", preset="fast")(y, physics), cat) > psnr(DAEP(0.03, preset="fast")(y, physics), cat) - 0.5
    )


def test_one_model_in_four_threads_is_as_one_after_another(cat):
    physics = [BlurFFT(cat.shape[1:], gaussian_blur(sigma=(s, s))) for s in (0.8, 1.2, 1.6, 2.0)]
    y = [noise(p.A(cat), 0.01) for p in physics]
    model = DAEP(0.01, preset="fast")
    alone = [model(a, p) for a, p in zip(y, physics, strict=True)]
    together = [None] * 4

    def work(i):
        together[i] = model(y[i], physics[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a.equal(b) for a, b in zip(alone, together, strict=True))


def test_a_measurement_of_inference_mode_or_with_a_gradient(cat):
    physics = BlurFFT(cat.shape[1:], KERNEL)
    y = noise(physics.A(cat), 0.01)
    result = DAEP(0.01, preset="fast")(y, physics)
    with torch.inference_mode():
        frozen = y * 1
    assert DAEP(0.01, preset="fast")(frozen, physics).equal(result)
    assert DAEP(0.01, preset="fast")(y.clone().requires_grad_(), physics).equal(result)


# -- the prior in deepinv's algorithms -------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [PGD, HQS])
def test_swapped_in_the_prior_is_not_behind(cat, net, solver):
    physics = BlurFFT(cat.shape[1:], KERNEL, noise_model=GaussianNoise(0.02))
    y = measured(physics, cat)
    options = {"data_fidelity": L2(), "sigma_denoiser": 0.04, "stepsize": 1.0, "max_iter": 15}
    peer, ours = (psnr(solver(prior=prior, **options)(y, physics), cat) for prior in (PnP(net), DAEPrior(net)))
    assert ours > peer - EQUAL
