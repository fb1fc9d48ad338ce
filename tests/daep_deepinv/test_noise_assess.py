"""The noise that a measurement shows, against the assumed noise level."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, degradation
from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise_estimation.assess import assess_noise
from daep_deepinv.noise_estimation.patches import visible_noise
from daep_prior import schedules


def assessed(sigma, y, physics, image):
    """The noise for an assumed level; what is not visible must not be needed."""

    def estimate(i):
        raise AssertionError("the noise is given")

    (noise,) = assess_noise(y, physics, image, sigma, "given", check=True, estimate=estimate)
    return noise


@pytest.fixture
def understated(photograph, kernel):
    """A blurred photograph with noise of 0.04, the physics, and the truth."""
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(photograph)
    return y + 0.04 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)), physics, photograph


def test_more_noise_than_assumed_is_noticed_with_a_warning(understated):
    y, physics, truth = understated
    assumed, right = DAEP(0.01, preset="fast"), DAEP(0.04, preset="fast")
    with pytest.warns(
        UserWarning, match=r"sigma: the noise .* is more than 2.55/255.* for 10[.\d]*/255, white Gaussian"
    ):
        x = assumed(y, physics)
    assert assumed.noise_level == pytest.approx([0.04], rel=0.15)
    assert assumed.plans[0].noise.source == "overruled" and assumed.plans[0].noise.assumed == 0.01
    error = float((x - truth).square().mean())
    assert error < 1.1 * float((right(y, physics) - truth).square().mean())
    unchecked = DAEP(0.01, preset="fast", check_noise=False)
    assert error < float((unchecked(y, physics) - truth).square().mean()) / 2
    assert unchecked.noise_level == [0.01]


def test_noise_in_a_measurement_that_is_assumed_noise_free_is_noticed(photograph):
    physics = degradation(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)))
    clean = physics.A(photograph)
    faint = clean + 0.004 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert assessed(0.0, (255 * clean).round() / 255, physics, photograph) == NoiseModel(0.0, "given")
    noise = assessed(0.0, faint, physics, photograph)
    assert noise.level == pytest.approx(0.004, rel=0.1) and noise.differences is None
    assumed, right, unchecked = (
        DAEP(0, preset="fast"),
        DAEP(0.004, preset="fast"),
        DAEP(0, preset="fast", check_noise=False),
    )
    with pytest.warns(UserWarning, match="sigma: the noise .* is more than 0/255"):
        restored = assumed(faint, physics)
    error, known, without = (
        float((x - photograph).square().mean()) for x in (restored, right(faint, physics), unchecked(faint, physics))
    )
    assert error < min(1.1 * known, without)


@pytest.mark.parametrize("preset", ["annealed", "fast"])
def test_noise_that_the_channels_share_leaves_their_differences(understated, preset):
    """Restored for the level of the shared noise alone, colours would be smoothed with it."""
    _, physics, truth = understated
    y = physics.A(truth)
    y = y + 0.02 * torch.randn((1, 1, *y.shape[2:]), generator=torch.Generator().manual_seed(0))
    noise = assessed(0.02, y, physics, truth)
    assert noise.level == pytest.approx(0.02 * 3**0.5, rel=0.1)
    assert noise.differences < 0.2 * noise.level
    model, unchecked = DAEP(0.02, preset=preset), DAEP(noise.level, preset=preset, check_noise=False)
    with pytest.warns(UserWarning, match="the noise of the measurement"):
        x = model(y, physics)

    def errors(z):
        difference = (z - truth)[..., 8:-8, 8:-8]  # a valid blur says little of the border
        mean = difference.mean(1, keepdim=True)
        return float(mean.square().mean()), float((difference - mean).square().mean())

    (of_mean, of_differences), (mean_without, differences_without) = errors(x), errors(unchecked(y, physics))
    assert of_differences < 0.7 * differences_without
    assert of_mean < 1.05 * mean_without
    assert torch.allclose(DAEP("estimate", preset=preset)(y, physics), x, atol=1e-6)


def test_only_the_image_with_more_noise_is_restored_for_more(understated):
    y, physics, truth = understated
    clean = physics.A(truth)
    both = torch.cat([clean + 0.01 * (y - clean) / 0.04, y])
    model = DAEP(0.01, preset="fast")
    with pytest.warns(UserWarning, match="the noise of the measurement"):
        together = model(both, physics)
    assert model.noise_level == [0.01, pytest.approx(0.04, rel=0.15)]
    with pytest.warns(UserWarning, match="the noise of the measurement"):
        assert torch.allclose(model(y, physics), together[1:], atol=1e-6)


def test_as_much_noise_as_assumed_or_less_changes_nothing(understated, recwarn):
    y, physics, _ = understated
    for sigma in (0.04, 0.08):
        model = DAEP(sigma, preset="fast")
        model(y, physics)
        assert model.noise_level == [sigma]
    assert not [w for w in recwarn if "noise" in str(w.message)]


def test_the_papers_presets_and_given_schedules_trust_sigma(understated, make_spy):
    y, physics, _ = understated
    for how in ({"preset": "paper", "max_iter": 1}, {"schedule": schedules.fast(0.01, 1)}):
        model = DAEP(0.01, denoiser=make_spy(), **how)
        model(y, physics)
        assert model.noise_level == [0.01]


def test_a_jpeg_file_is_restored_for_more_noise_than_assumed(understated, as_jpeg):
    _, physics, truth = understated
    y = physics.A(truth)
    y = y + 0.02 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    y = as_jpeg(y)
    model, unchecked = DAEP(0.02, preset="fast"), DAEP(0.02, preset="fast", check_noise=False)
    with pytest.warns(UserWarning, match="is more than 5.1/255, not white,.* to cover what JPEG has changed"):
        x = model(y, physics)
    assert 1.15 * 0.02 < model.noise_level[0] < 1.5 * 0.02
    error, without = ((z - truth).square().mean() for z in (x, unchecked(y, physics)))
    assert error < without


def averaged(shape, level):
    """Noise that is averaged over 3 x 3 pixels, as resampling and demosaicing do."""
    field = torch.randn((*shape[:2], *(n + 2 for n in shape[2:])), generator=torch.Generator().manual_seed(0))
    return 3 * level * torch.nn.functional.avg_pool2d(field, 3, 1)


@pytest.mark.parametrize("preset", ["annealed", "fast"])
def test_averaged_noise_is_restored_with_its_measured_spectrum(preset, understated):
    """Most of it is in coarse detail, so that fine detail is known better than the level says."""
    _, physics, truth = understated
    y = physics.A(truth)
    y = y + averaged(y.shape, 0.02)
    model, unchecked = DAEP(0.02, preset=preset), DAEP(0.02, preset=preset, check_noise=False)
    with pytest.warns(UserWarning, match=r"it is restored for .*/255, Gaussian with a measured spectrum"):
        x = model(y, physics)
    assert model.noise_level == pytest.approx([0.02], rel=0.15)
    error, without = (
        float((z - truth)[..., 8:-8, 8:-8].square().mean()) for z in (x, unchecked(y, physics))
    )  # a valid blur says little of the border
    assert error < 0.7 * without
    both = torch.cat([y, physics.A(truth)])  # the noise is of this image alone
    with pytest.warns(UserWarning, match="not white"):
        assert torch.allclose(model(both, physics)[:1], x, atol=1e-5)


def test_averaged_noise_in_grey_is_restored_for_more_than_that_of_a_jpeg_file(understated):
    """In grey, texture looks like the noise of coarse detail, and the finest detail shows less of that noise."""
    _, physics, truth = understated
    truth = truth.mean(1, keepdim=True)
    y = physics.A(truth)
    y = y + averaged(y.shape, 0.04)
    model, unchecked = DAEP(0.04, preset="fast"), DAEP(0.04, preset="fast", check_noise=False)
    with pytest.warns(UserWarning, match="not white"):
        x = model(y, physics)
    assert 1.4 * 0.04 < model.noise_level[0] < 2.1 * 0.04
    error, without = ((z - truth).square().mean() for z in (x, unchecked(y, physics)))
    assert error < 0.95 * without


def test_an_operator_that_somebody_wrote_is_restored_for_white_noise(understated):
    """Its proximal step takes no spectrum, but the level of the noise is visible."""

    class Written(dinv.physics.LinearPhysics):
        def A(self, x, **kwargs):
            return blurs.A(x)

        def A_adjoint(self, y, **kwargs):
            return blurs.A_adjoint(y)

    _, blurs, truth = understated
    clean = blurs.A(truth)
    y = clean + averaged(clean.shape, 0.02)
    noise = assessed(0.02, y, Written(), truth)
    assert noise.spectrum is None
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noise = assessed(0.01, clean + 0.02 * white, Written(), truth)
    assert noise.level == pytest.approx(0.02, rel=0.1)


def test_texture_does_not_look_like_coloured_noise(kernel):
    """White noise has the stated level in the weakest mode, whatever texture adds to the others."""
    skimage = pytest.importorskip("skimage")
    gravel = torch.from_numpy(skimage.data.gravel()[:200, :200] / 255).float().expand(1, 3, -1, -1)
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(gravel)
    y = y + 0.006 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    (shown,) = visible_noise(y, physics, gravel)
    assert not shown.white
    assert assessed(0.006, y, physics, gravel) == NoiseModel(0.006, "given")


def test_a_measurement_with_hardly_any_noise_changes_nothing(understated, recwarn):
    """Its weakest modes are what is left of the image, which is not white."""
    _, physics, truth = understated
    model = DAEP(0.06, preset="fast")
    model(physics.A(truth), physics)
    assert model.noise_level == [0.06]
    assert not [w for w in recwarn if "noise" in str(w.message)]


def holes(kind):
    mask = torch.ones(1, 112, 112)
    if kind == "dead pixels":
        mask[torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)) < 0.03] = 0
    elif kind == "frame":
        mask[:, :20], mask[:, -20:], mask[..., :20], mask[..., -20:] = 0, 0, 0, 0
    else:
        mask[:, 10:-20, 10:60] = 0
    return mask


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", ["dead pixels", "frame", "block"])
@pytest.mark.parametrize("sigma", [0.02, "estimate", None])
def test_holes_in_a_blurred_image_are_no_noise(photograph, sigma, kind, channels):
    """Edges of the holes look like fine detail that no blur passes: noise of 5.1 was found as 25."""
    x, mask = photograph[:, :channels], holes(kind)
    size = (channels, 112, 112)
    blur = dinv.physics.BlurFFT(size, dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)))
    physics = dinv.physics.Inpainting(size, mask=mask.expand(size)) * blur
    y = mask * (blur.A(x) + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    assert DAEP(sigma).plan(y, physics)[0].noise.level == pytest.approx(0.02, rel=0.15)


def test_an_image_with_holes_changes_nothing_for_the_others(understated):
    y, _, truth = understated
    blur = dinv.physics.BlurFFT((3, 112, 112), dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)))
    mask = torch.stack([torch.ones(1, 112, 112), holes("frame")])
    physics = dinv.physics.LinearPhysics(
        A=lambda x, **_: mask[-len(x) :] * blur.A(x), A_adjoint=lambda y, **_: blur.A_adjoint(mask[-len(y) :] * y)
    )
    y = physics.A(truth.expand(2, -1, -1, -1))
    y = y + mask * 0.04 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    plans = DAEP(0.01).plan(y, physics)
    assert [plan.noise.level for plan in plans] == pytest.approx([0.04, 0.01], rel=0.15)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["black", "white"])
def test_bars_in_a_blurred_image_hold_no_noise(photograph, channels, value):
    """Bars over half of the image halved the power that was found."""
    x = torch.cat([photograph, photograph.flip(-2)], -2)[:, :channels]
    blur = dinv.physics.BlurFFT(tuple(x.shape[1:]), dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)))
    y = blur.A(x) + 0.04 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y[..., :56, :], y[..., -56:, :] = value, value
    (noise,) = [plan.noise for plan in DAEP("estimate").plan(y.clamp(0, 1), blur)]
    assert noise.level == pytest.approx(0.04, rel=0.1) and noise.spectrum is None
