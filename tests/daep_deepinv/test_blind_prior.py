"""The two networks of blind deblurring: which does what, and that the second removes the traces of a wrong kernel."""

import pytest
import torch
from blind_scene import discs, measured

from daep_cli.kernels.shapes import disk
from daep_deepinv import BlindDAEP, estimate_kernel
from daep_deepinv.blind.prior import BlindPrior, as_blind_prior
from daep_prior.blind import BlindSettings, Estimate, find_blur, similarity
from daep_prior.blind.refinement import refined
from daep_prior.blind.sharpness import predicts_better

SETTINGS = BlindSettings(size=13)


@pytest.fixture(scope="module")
def kernel():
    """A disc, (9, 9)."""
    return torch.as_tensor(disk(4)).float()


@pytest.fixture(scope="module")
def ring(kernel):
    """Its rim alone: what rounds with a denoiser make of it."""
    k = kernel.clone()
    k[2:7, 2:7] = 0
    return k / k.sum()


def test_the_sharpener_fills_a_ring(kernel, ring):
    y, prior = measured(discs(), kernel, noise=0.005), as_blind_prior("dae")
    with torch.no_grad():
        sharpened, denoised = (refined(y, prior.judge, ring, SETTINGS, sharpen=one) for one in (prior.sharpen, None))
    assert 1 - similarity(sharpened, kernel) < 0.8 * (1 - similarity(denoised, kernel))


@pytest.mark.parametrize(("noise", "error", "asked"), [(0.008, 0, True), (0.002, 0, False), (0.002, 0.008, True)])
def test_the_sharpener_finds_kernels_in_noise_and_the_denoiser_judges(kernel, noise, error, asked):
    """What JPEG has changed counts as noise."""
    calls = {"judge": 0, "sharpen": 0}

    def counted(name):
        def network(x, width):
            calls[name] += 1
            return x

        return network

    settings = BlindSettings(size=7, rounds=2, coarse_rounds=1, refining_rounds=1, corrections=0)
    y = measured(discs(), kernel, noise)
    find_blur(y, counted("judge"), settings, 1, 0, None, counted("sharpen"), error=error)
    assert (calls["sharpen"] > 0) is asked and calls["judge"] > 0
    judged = calls["judge"]
    find_blur(y, counted("judge"), settings, 1)
    assert (calls["judge"] - judged > judged) is asked


@pytest.mark.parametrize(("quality", "asked"), [(60, True), (None, False)])
def test_the_sharpener_finds_the_kernel_of_a_jpeg_photograph(kernel, as_jpeg, monkeypatch, quality, asked):
    y = measured(discs(), kernel, noise=0.001).expand(1, 3, -1, -1)
    y = (255 * y).round() / 255 if quality is None else as_jpeg(y, quality)
    calls = []
    shipped = BlindPrior.sharpen
    monkeypatch.setattr(BlindPrior, "sharpen", lambda *options: calls.append(1) or shipped(*options))
    estimate_kernel(y, 9, starts=1)
    assert bool(calls) is asked


def test_another_sharpener_gives_another_kernel(kernel):
    y = measured(discs(), kernel, noise=0.008)
    shipped, other = (estimate_kernel(y, 9, sharpener=name, starts=1) for name in ("dae-blind", "dae"))
    assert shipped.shape != other.shape or not torch.equal(shipped, other)


@pytest.mark.parametrize("name", ["denoiser", "sharpener"])
def test_a_network_for_one_level_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=rf"^{name}: it is trained for the one level 25/255"):
        BlindDAEP(**{name: "dae-sigma25"})


def test_both_networks_are_put_on_the_device():
    model = BlindDAEP(device="meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("doubts", "misfit", "expected"),
    [
        ((0.5,), 0.005, "sharpen"),
        ((1.5, 0.5), 0.005, "judge"),
        ((1.5, 0.5), 0.02, "sharpen"),
        ((1.5, 1.5), 0.005, "sharpen"),
    ],
)
def test_if_the_check_fails_the_denoiser_finds_the_kernel_if_it_passes_and_is_better(
    monkeypatch, kernel, doubts, misfit, expected
):
    def sharpen(x, width):
        return x

    def judge(x, width):
        return x

    left = list(doubts)
    found_by, module = [], "daep_prior.blind.several_starts."
    monkeypatch.setattr(module + "overshoot", lambda *_: left.pop(0))

    def estimate(y, denoise, settings, seed, follow, find):
        return Estimate(kernel, 0.01 if find is sharpen else misfit, settings.factor)

    monkeypatch.setattr(module + "one_estimate", estimate)
    monkeypatch.setattr(module + "improved_kernel", lambda *options: found_by.append(options[-2].__name__) or kernel)
    found = find_blur(measured(discs(), kernel, 0.012), judge, SETTINGS, 1, 0, None, sharpen)
    assert found_by == [expected]
    assert not left and found.doubt == doubts[-1 if expected == "judge" else 0]


@pytest.mark.parametrize("best", [0, 1, 2])
def test_of_starts_that_disagree_the_one_that_costs_least_is_taken(monkeypatch, kernel, best):
    kernels = [torch.ones(side, side) / side**2 for side in (5, 7, 9)]
    module, left = "daep_prior.blind.several_starts.", list(kernels)
    monkeypatch.setattr(module + "overshoot", lambda *_: 0.5)
    monkeypatch.setattr(module + "sharpness", lambda *_: 0.0)
    monkeypatch.setattr(module + "AGREED", 2.0)  # all starts are made
    monkeypatch.setattr(
        module + "one_estimate", lambda y, denoise, settings, *_: Estimate(left.pop(0), 0.01, settings.factor)
    )
    monkeypatch.setattr(module + "improved_kernel", lambda y, denoise, found, *_: found)
    settings = BlindSettings(size=13, rounds=1, coarse_rounds=1)

    def cost(y, k):
        return 1.0 if torch.equal(k, kernels[best]) else 2.0

    found = find_blur(measured(discs(), kernel, 0.01), lambda x, s: x, settings, 3, 0, None, None, cost)
    assert not left and torch.equal(found.kernel, kernels[best])


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_true_kernel_predicts_a_photograph_better_than_others(kernel, ring, noise):
    y, prior = measured(discs(), kernel, noise), as_blind_prior("dae")
    with torch.no_grad():
        errors = [prior.prediction_error(y, k) for k in (kernel, ring, torch.ones(11, 11) / 121)]
    assert min(errors) == errors[0] > noise**2


def test_a_kernel_of_one_pixel_gains_nothing_by_fitting_the_noise(kernel):
    """The photograph itself explains the photograph without an error."""
    noise = 0.02
    y, prior = measured(discs(), kernel, noise), as_blind_prior("dae")
    assert prior.prediction_error(y, torch.ones(1, 1)) > prior.prediction_error(y, kernel) > noise**2


@pytest.mark.parametrize("blurred", [True, False])
def test_much_noise_hides_neither_a_blur_nor_that_there_is_none(kernel, blurred):
    """A kernel that noise has suggested predicts a sharp photograph worse than no blur does."""
    y, prior = measured(discs(), kernel if blurred else torch.ones(1, 1), 0.05), as_blind_prior("dae")
    with torch.no_grad():
        assert predicts_better(kernel, lambda k: prior.prediction_error(y, k)) == blurred
