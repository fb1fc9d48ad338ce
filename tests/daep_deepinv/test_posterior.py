"""``DAEP.sample`` and ``DAEP.posterior``: repeatability, batches, statistics, and how sure the model is where."""

import deepinv as dinv
import pytest
import skimage.data
import torch

from daep_deepinv import DAEP, degradation
from daep_deepinv.calibration import CALIBRATIONS, Calibration
from daep_deepinv.posterior import Posterior

NOISE = 5 / 255
SHORT = {"levels": 4}


@pytest.fixture
def model(unet):
    return DAEP(NOISE, unet, "fast", max_iter=2, check_noise=False)


@pytest.fixture
def physics():
    return degradation(torch.ones(3, 3) / 9, padding="circular", sigma=NOISE)


@pytest.fixture
def y(images, physics):
    return physics.A(images(2, 3, 16, 16))


def test_samples_differ_and_come_again(model, physics, y):
    samples = model.sample(y, physics, n=3, seed=1, **SHORT)
    assert samples.shape == (3, 2, 3, 16, 16)
    assert torch.equal(model.sample(y, physics, n=3, seed=1, **SHORT), samples)
    assert not torch.equal(samples[0], samples[1])
    assert not torch.equal(model.sample(y, physics, n=1, seed=2, **SHORT)[0], samples[0])


@pytest.mark.parametrize("n", [2, 3])
def test_the_mean_of_the_samples_is_the_restored_image(model, physics, y, n):
    """Also in units of 255, and of an odd number. Bounds are given: a sample of them alone would be cut."""
    model = DAEP(255 * NOISE, model.prior.denoiser, "fast", max_iter=2, check_noise=False, scale=255.0, bounds=None)
    found = model.sample(255 * y, physics, n=n, **SHORT)
    assert (found.mean(0) - model(255 * y, physics)).abs().max() < 1e-2
    assert not torch.equal(found[0], found[1])


def test_one_sample_differs_from_the_restored_image_and_keeps_the_bounds(model, physics, y):
    model = DAEP(NOISE, model.prior.denoiser, "fast", max_iter=2, check_noise=False, bounds=(0, 1))
    (one,) = model.sample(y, physics, n=1, **SHORT)
    assert not torch.allclose(one, model(y, physics), atol=1e-3)
    assert one.min() >= 0
    assert one.max() <= 1


def test_an_image_has_the_same_samples_alone_and_in_a_batch(model, physics, y):
    """Also a grey image in three channels, which is restored by itself as one."""
    y = torch.cat([y[:1], y[1:, :1].expand(-1, 3, -1, -1)])
    together = model.sample(y, physics, n=2, **SHORT)
    for i in range(2):
        assert torch.equal(model.sample(y[i : i + 1], physics, n=2, **SHORT)[:, 0], together[:, i])
    assert torch.equal(together[:, 1, 0], together[:, 1, 2])


def test_statistics_are_those_of_the_samples(model, physics, y, monkeypatch):
    monkeypatch.setitem(CALIBRATIONS, "weak blur", Calibration(factor=1.5, window=1))
    model = DAEP(NOISE, model.prior.denoiser, "fast", max_iter=2, check_noise=False, bounds=None)
    samples = model.sample(y, physics, n=4, **SHORT)
    found = model.posterior(y, physics, n=4, **SHORT)
    assert torch.equal(found.mean, model(y, physics))
    assert torch.allclose(found.deviation, 1.5 * samples.std(0, correction=0), atol=1e-5)
    low, high = found.interval(0.9)
    assert torch.allclose(high - low, 2 * 1.6449 * found.deviation, rtol=1e-3, atol=1e-6)
    assert torch.allclose(found.quantile(0.5), found.mean)


def test_samples_fit_the_measurement(shipped, images):
    """Their residual is about that of the noise."""
    physics = degradation(torch.ones(3, 3) / 9, padding="circular", sigma=NOISE)
    clean = images(1, 3, 32, 32)
    y = physics.A(clean) + NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    samples = DAEP(NOISE, shipped("dae"), "fast", check_noise=False).sample(y, physics, n=2, levels=8)
    for x in samples:
        assert 0.7 * NOISE < float((physics.A(x) - y).square().mean().sqrt()) < 1.5 * NOISE


def test_a_sample_under_motion_blur_has_no_coloured_noise(shipped):
    """A sample is less than 3.5 dB behind the restored image. With noise that the data term does not know, it is 9."""
    x = torch.from_numpy(skimage.data.astronaut()[100:164, 200:264]).permute(2, 0, 1)[None] / 255
    physics = degradation(torch.eye(11) / 11, padding="circular", sigma=NOISE)
    y = physics.A(x) + 1.5 * NOISE * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    model = DAEP(1.5 * NOISE, shipped("dae"), "fast", check_noise=False)
    restored, sample = (float((v - x).square().mean()) for v in (model(y, physics), model.sample(y, physics, n=1)[0]))
    assert sample < 10**0.35 * restored


def test_it_is_less_sure_of_missing_pixels(shipped, images):
    mask = torch.ones(1, 32, 32)
    mask[:, 8:20, 8:20] = 0
    physics = dinv.physics.Inpainting((3, 32, 32), mask=mask.expand(3, -1, -1))
    y = physics.A(images(1, 3, 32, 32))
    found = DAEP(1 / 255, shipped("dae"), "fast", check_noise=False).posterior(y, physics, n=4, levels=8)
    missing = mask[0] == 0
    assert found.deviation[..., missing].mean() > 3 * found.deviation[..., ~missing].mean()


@pytest.mark.parametrize("level", [3, 25])
def test_the_deviation_of_a_denoised_image_is_about_its_error(shipped, level):
    x = torch.from_numpy(skimage.data.astronaut()[100:148, 200:248]).permute(2, 0, 1)[None] / 255
    y = x + level / 255 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(level / 255))
    found = DAEP(denoiser=shipped("dae")).posterior(y, physics, n=4)
    error, said = (float(e.square().mean().sqrt()) for e in (found.mean - x, found.deviation))
    assert 0.5 * error < said < 2 * error


@pytest.mark.parametrize("task", ["blur", "enlargement"])
def test_nine_of_ten_pixels_are_within_their_interval(shipped, task):
    x = torch.from_numpy(skimage.data.astronaut()[100:148, 200:248]).permute(2, 0, 1)[None] / 255
    blur = {"kernel": dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)), "padding": "circular"}
    physics = degradation(**({"factor": 3, "img_size": (3, 48, 48)} if task == "enlargement" else blur), sigma=1 / 255)
    y = physics.A(x)
    y = y + torch.randn(y.shape, generator=torch.Generator().manual_seed(0)) / 255
    low, high = DAEP(1 / 255, shipped("dae"), check_noise=False).posterior(y, physics, n=6).interval(0.9)
    assert 0.75 < float(((low <= x) & (x <= high)).float().mean()) < 0.99


def test_an_image_in_other_units_has_the_same_samples_in_these(shipped, physics, y):
    """Both ranges are given, for one that is found may scale an image. In float32: bf16 rounds the two differently."""
    network = shipped("dae")
    network.compute_dtype = torch.float32
    options = {"check_noise": False, "preset": "fast"}
    small = DAEP(NOISE, network, **options, scale=1.0, bounds=(0, 1))
    large = DAEP(255 * NOISE, network, **options, scale=255.0, bounds=(0, 255))
    unit, same = small.sample(y, physics, n=1, levels=6), large.sample(255 * y, physics, n=1, levels=6)
    assert (same - 255 * unit).abs().max() < 0.05
    found, expected = (m.posterior(v, physics, n=2, levels=6) for m, v in ((large, 255 * y), (small, y)))
    assert (found.deviation - 255 * expected.deviation).abs().max() < 0.01 * 255 * expected.deviation.mean()


def test_a_first_image_is_given_where_the_physics_offers_none(model, physics, y):
    bent = dinv.physics.Physics(A=lambda x, **_: torch.tanh(physics.A(torch.nn.functional.pad(x, (0, 1)))))
    start = y[..., :-1]
    with pytest.raises(ValueError, match="init="):
        model.sample(bent.A(start), bent, n=1, **SHORT)
    assert model.sample(bent.A(start), bent, n=1, init=start, **SHORT).shape[1:] == start.shape
    found = model.posterior(bent.A(start), bent, n=2, init=start, **SHORT)
    assert torch.equal(found.mean, model(bent.A(start), bent, init=start))


def test_what_cannot_be_sampled_is_refused(model, physics, y, conv):
    with pytest.raises(ValueError, match="n: got 0"):
        model.sample(y, physics, n=0)
    with pytest.raises(ValueError, match="n: got 1"):
        model.posterior(y, physics, n=1)
    with pytest.raises(TypeError, match="callback: got int; expected a function"):
        model.posterior(y, physics, callback=3)
    for draw in (model.sample, model.posterior):
        with pytest.raises(TypeError, match=r"^samples: no such option; expected n \(the number of samples\)"):
            draw(y, physics, samples=2)
    with pytest.raises(ValueError, match="25/255 alone"):
        DAEP(NOISE, conv).sample(y, physics)


@pytest.mark.parametrize(
    ("argument", "given"),
    [("n", True), ("n", "4"), ("n", 2.5), ("n", None), ("seed", True), ("seed", "1"), ("seed", -1)],
)
def test_what_is_no_number_is_refused_before_any_work(model, physics, y, monkeypatch, argument, given):
    monkeypatch.setattr(model, "_chains", None)
    for draw in (model.sample, model.posterior):
        with pytest.raises(ValueError, match=f"^{argument}: got {given!r}; expected a whole number"):
            draw(y, physics, **{argument: given})


@pytest.mark.parametrize("given", [0, 1, True, "0.5", None, float("nan"), [0.1, 0.9]])
def test_a_quantile_needs_a_probability(given):
    found = Posterior(torch.zeros(1), torch.ones(1), 2)
    for name, of in (("q", found.quantile), ("share", found.interval)):
        with pytest.raises(ValueError, match=f"^{name}: got .*; expected a probability"):
            of(given)


def test_blur_that_suppresses_much_has_a_calibration_of_its_own_also_in_a_batch(model, images, monkeypatch):
    """Each image of a batch has the calibration of its own kernel."""
    monkeypatch.setitem(CALIBRATIONS, "weak blur", Calibration(factor=0.0, window=1))
    wide = dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6))
    narrow = torch.zeros_like(wide)
    narrow[..., wide.shape[-2] // 2, wide.shape[-1] // 2 - 1 : wide.shape[-1] // 2 + 2] = 1 / 3
    physics = dinv.physics.Blur(torch.cat([wide, narrow]), padding="circular")
    found = model.posterior(physics.A(images(2, 3, 16, 16)), physics, n=2, **SHORT)
    assert found.deviation[0].mean() > 0
    assert not found.deviation[1].any()
