"""``BlindDAEP`` and ``estimate_kernel``, on small photographs: the quality is measured by a benchmark."""

import warnings

import pytest
import torch
from blind_scene import discs, measured
from deepinv.physics import Denoising

from daep_deepinv import BlindDAEP, estimate_kernel
from daep_deepinv.blind.arguments import checked_size
from daep_deepinv.blind.doubts import warn_of
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import BlindSettings, Estimate, FoundBlur, similarity
from daep_prior.blind.several_starts import find_blur, texture

OPTIONS = {"size": 9, "starts": 1}


@pytest.fixture(scope="module")
def scene():
    return discs()


@pytest.fixture(scope="module")
def diagonal():
    """Motion along a diagonal over 7 pixels."""
    return torch.eye(7) / 7


@pytest.fixture(scope="module")
def blurred(scene, diagonal):
    return measured(scene, diagonal)


@pytest.fixture(scope="module")
def restored(blurred):
    """The model after its call, and the image."""
    model = BlindDAEP(size=11, starts=1)
    return model, model(blurred)


# -- what it finds ---------------------------------------------------------------------------------------------------


def test_the_kernel_of_a_diagonal_motion_is_found(restored, diagonal):
    model, _ = restored
    assert model.verdict == ["found"]
    assert similarity(model.kernel[0, 0], diagonal) > 0.9


def test_the_image_comes_closer_to_the_sharp_one(restored, blurred, scene):
    truth = scene[..., 3:-3, 3:-3]
    inside = (..., slice(12, -12), slice(12, -12))
    shifts = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]  # the position of a blind kernel is free

    def error(x):
        return min(float((x.roll(s, (-2, -1)) - truth)[inside].square().mean()) for s in shifts)

    assert error(restored[1]) < 0.5 * error(blurred)


def test_a_kernel_has_sum_one_is_not_negative_and_centred(restored):
    kernel = restored[0].kernel
    assert kernel.shape[:2] == (1, 1) and kernel.shape[2] == kernel.shape[3] and kernel.shape[2] % 2 == 1
    assert kernel.sum() == pytest.approx(1) and kernel.min() >= 0
    places = torch.arange(kernel.shape[2]) - kernel.shape[2] // 2
    assert abs(float((kernel[0, 0].sum(0) * places).sum())) <= 0.6
    assert abs(float((kernel[0, 0].sum(1) * places).sum())) <= 0.6


def test_an_image_gives_the_same_result_alone_and_in_a_batch_and_again(blurred):
    y = blurred[..., :48, :48]
    both = torch.cat([y.flip(-1), y])
    kernels, alone = estimate_kernel(both, **OPTIONS), estimate_kernel(y, **OPTIONS)
    margin = (kernels.shape[-1] - alone.shape[-1]) // 2
    inner = kernels[1:, :, margin : margin + alone.shape[-2], margin : margin + alone.shape[-1]]
    assert torch.equal(inner, alone)
    assert torch.equal(alone, estimate_kernel(y, **OPTIONS))


def test_grey_stored_as_colour_has_the_kernel_of_grey(blurred):
    y = blurred[..., :48, :48]
    colour = estimate_kernel(y.expand(-1, 3, -1, -1), **OPTIONS)
    assert similarity(colour[0, 0], estimate_kernel(y, **OPTIONS)[0, 0]) > 0.99


# -- honesty ---------------------------------------------------------------------------------------------------------


def test_a_sharp_photograph_comes_back_as_it_was(scene):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BlindDAEP(**OPTIONS)
        x = model(scene)
    assert model.verdict == ["sharp"]
    assert torch.equal(x, scene) and torch.equal(model.kernel, torch.ones(1, 1, 1, 1))


def test_a_photograph_without_texture_is_named_and_comes_back_as_it_was():
    y = 0.5 + 0.05 * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    model = BlindDAEP(**OPTIONS)
    with pytest.warns(UserWarning, match="no texture"):
        x = model(y)
    assert torch.equal(x, y.clamp(0, 1)) and model.verdict == ["no texture"] and model.confidence == [0]


def test_starts_that_disagree_are_said_to(monkeypatch, blurred):
    def any_kernel(y, denoise, settings, seed=0, follow=None, sharpen=None):
        k = torch.zeros(9, 9)
        k[:, 4] = 1 / 9
        return Estimate(k if seed % 2 else k.T, 0.01, settings.factor)

    monkeypatch.setattr("daep_prior.blind.several_starts.one_estimate", any_kernel)
    model = BlindDAEP(size=9, starts=2)
    with pytest.warns(UserWarning, match="not found"):
        x = model(blurred)
    assert torch.equal(x, blurred) and model.verdict == ["not found"]


def test_two_starts_that_agree_are_enough(monkeypatch, blurred):
    seeds = []

    def same(y, denoise, settings, seed=0, follow=None, sharpen=None):
        seeds.append(seed)
        return Estimate(torch.eye(7) / 7, 0.01, settings.factor)

    monkeypatch.setattr("daep_prior.blind.several_starts.one_estimate", same)
    monkeypatch.setattr("daep_prior.blind.several_starts.overshoot", lambda *_: 0.5)  # is right
    found = find_blur(blurred, lambda x, s: x, BlindSettings(size=9), starts=5, seed=3)
    assert isinstance(found, FoundBlur) and found.verdict == "found"
    assert found.confidence > 0.95 and seeds == [3, 4]


def test_noise_is_no_texture(scene):
    flat = 0.5 + 0.05 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(1))
    assert texture(flat) < 0.004 < texture(scene)


# -- use -------------------------------------------------------------------------------------------------------------


def test_the_callback_gets_each_round(blurred):
    rounds = []
    BlindDAEP(size=5, starts=1)(blurred[..., :40, :40], callback=lambda *what: rounds.append(what[:3]))
    assert rounds[0][0] == 0 and rounds[0][2] == 0
    assert rounds[-1][1] == 1 and {factor for _, factor, _ in rounds} != {1}


def test_a_kernel_of_one_pixel_restores_nothing(blurred):
    assert torch.equal(deblurred(blurred, torch.ones(1, 1), None, "fast", torch.nn.Identity()), blurred)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (torch.rand(40, 40), {}, "expected photographs"),
        (255 * torch.rand(1, 1, 40, 40), {}, r"values from \S+ to 25\d.*in \[0, 1\]"),
        (torch.rand(1, 1, 40, 40) - 2, {}, "values from -2 to -1"),
        (torch.full((1, 1, 40, 40), torch.nan), {}, "NaN"),
        (torch.rand(1, 1, 16, 40), {}, "at least 32 x 32"),
        (torch.rand(1, 1, 40, 40), {"size": 2}, "size: got 2"),
        (torch.rand(1, 1, 40, 40), {"size": 21}, "expected at most 13"),
        (torch.rand(1, 1, 120, 120), {"size": 40}, "size: got 40 .* at most 39"),
        (torch.rand(1, 1, 40, 40), {"size": "9"}, "size: got '9'"),
        (torch.rand(1, 1, 40, 40), {"size": True}, "size: got True"),
        (torch.rand(1, 1, 40, 40), {"starts": 0}, "starts: got 0"),
        (torch.rand(1, 1, 40, 40), {"starts": 1.5}, "starts: got 1.5"),
        (torch.rand(1, 1, 40, 40), {"seed": True}, "seed: got True"),
        (torch.rand(1, 1, 40, 40), {"seed": None}, "seed: got None"),
        (torch.rand(2, 1, 40, 40), {"seed": [1, 2, 3]}, "3 seeds for 2"),
        (torch.rand(1, 1, 40, 40), {"denoiser": "dae-sigma25"}, "noise-conditional"),
    ],
)
def test_bad_input_is_one_clear_sentence(y, options, message):
    with pytest.raises(ValueError, match=message):
        estimate_kernel(y, **options)


@pytest.mark.parametrize(
    "options",
    [{"size": 2}, {"starts": False}, {"seed": "one"}, {"seed": [1, None]}, {"seed": []}, {"preset": "fastest"}],
)
def test_bad_options_are_refused_before_there_is_a_photograph(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}: got .*; expected"):
        BlindDAEP(**options)


def test_a_callback_that_is_no_function_is_refused_before_any_work():
    with pytest.raises(TypeError, match="callback: got int; expected a function"):
        BlindDAEP()(torch.rand(1, 1, 40, 40), callback=3)


def test_varying_is_true_or_false():
    with pytest.raises(TypeError, match="varying: got 'yes'; expected True or False"):
        BlindDAEP(varying="yes")


def test_an_even_size_counts_as_the_next_odd_one():
    y = torch.rand(1, 1, 64, 64)
    assert [checked_size(size, y) for size in (8, 9, 20)] == [9, 9, 21]


@pytest.mark.parametrize(("factor", "offset", "said"), [(1.4, 0, "to 1.4"), (1, -0.3, "from -0.3"), (1, 0, None)])
def test_values_that_are_clipped_are_warned_of(factor, offset, said):
    y = factor * torch.rand(1, 1, 10, 10).repeat_interleave(4, 2).repeat_interleave(4, 3) + offset
    y[..., :8, :8], y[..., -8:, -8:] = offset, factor + offset
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = BlindDAEP(size=9, starts=1)(y)
    assert float(x.min()) >= 0 and float(x.max()) <= 1
    texts = [str(warning.message) for warning in caught if "clipped" in str(warning.message)]
    assert len(texts) == (said is not None)
    assert all(said in text and text.startswith("y: got values from") for text in texts)


def test_channels_that_are_last_are_named():
    with pytest.raises(ValueError, match=r"3 x 50 pixels.* channels seem to be last; .*movedim\(-1, 1\)"):
        estimate_kernel(torch.rand(1, 60, 50, 3))


def test_a_graph_is_left_out_without_a_warning(blurred):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="y: ")
        x = BlindDAEP(**OPTIONS)(blurred.clone().requires_grad_())
    assert not x.requires_grad


def test_a_known_physics_is_refused(blurred):
    with pytest.raises(ValueError, match="use DAEP"):
        BlindDAEP()(blurred, Denoising())


@pytest.mark.parametrize(("side", "warned"), [(9, True), (7, False)])
def test_a_kernel_that_fills_the_largest_size_is_warned_of(side: int, warned: bool) -> None:
    kernel = torch.zeros(15, 15)
    kernel[7, 2 : 2 + side] = 1 / side
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of(FoundBlur(kernel, 0.95, "found", []), 0, 5, 9)
    texts = [str(one.message) for one in caught]
    assert ["fills size=9; 90% of its light is in 9 x 9 pixels; if the blur is larger" in text for text in texts] == [
        True
    ] * warned


def test_of_a_kernel_with_faint_ends_the_warning_says_where_the_light_is() -> None:
    kernel = torch.zeros(15, 15)
    kernel[7, 5:10], kernel[7, 3], kernel[7, 11] = 0.19, 0.025, 0.025
    with pytest.warns(UserWarning, match="90% of its light is in 5 x 5 pixels; if they hold the blur, give a smaller"):
        warn_of(FoundBlur(kernel, 0.95, "found", []), 0, 5, 9)


def test_another_blur_in_the_quarters_is_warned_of_unless_the_kernel_is_uncertain() -> None:
    kernel = torch.full((3, 3), 1 / 9)
    with pytest.warns(UserWarning, match="0 may vary over it: 2 of its quarters .* try BlindDAEP.varying=True."):
        warn_of(FoundBlur(kernel, 0.95, "found", []), 0, 5, 9, 2)
    with pytest.warns(UserWarning, match="is uncertain"):
        warn_of(FoundBlur(kernel, 0.3, "found", []), 0, 5, 9, 2)


@pytest.mark.parametrize(
    ("starts", "verdict", "searched"), [(2, "found", True), (1, "found", False), (2, "sharp", False)]
)
def test_the_quarters_of_a_photograph_with_a_found_kernel_are_searched(blurred, monkeypatch, starts, verdict, searched):
    given = []
    found = FoundBlur(torch.full((3, 3), 1 / 9), 0.95, verdict, [])
    monkeypatch.setattr("daep_deepinv.blind.kernels.find_blur", lambda *_: found)
    monkeypatch.setattr("daep_deepinv.blind.kernels.other_quarters", lambda y, kernel, *_: given.append(y.shape) or 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimate_kernel(blurred, size=5, starts=starts)
    assert given == [(1, 1, *blurred.shape[2:])] * searched
    assert ["3 of its quarters" in str(one.message) for one in caught] == [True] * searched


def test_a_photograph_that_counts_as_sharp_without_confidence_is_warned_of() -> None:
    sharp = FoundBlur(torch.ones(1, 1), 0.3, "sharp", [])
    with pytest.warns(UserWarning, match="photograph 1 counts as sharp, but may be blurred, confidence 0.30"):
        warn_of(sharp, 1, 5, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of(sharp._replace(confidence=0.9), 1, 5, 9)
        warn_of(sharp, 1, 1, 9)


def test_one_start_has_no_confidence_to_warn_of() -> None:
    for starts, said in ((1, False), (5, True)):
        with pytest.warns(UserWarning, match="overshoots the photograph") as caught:
            warn_of(FoundBlur(torch.full((3, 3), 1 / 9), 0.0, "found", [], doubt=2.0), 0, starts, 9)
        assert ("confidence" in str(caught[0].message)) == said


def test_images_of_another_range_are_refused(blurred) -> None:
    with pytest.raises(ValueError, match=r"y: got values from -\S+ to \S+; expected photographs in \[0, 1\]"):
        BlindDAEP()(2 * blurred - 1)


def test_a_noise_level_in_units_of_255_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sigma: got 2\.55; expected at most 1, .*perhaps 2\.55/255"):
        BlindDAEP(sigma=2.55)


def test_it_shows_its_arguments() -> None:
    shown = "BlindDAEP(sigma=None, size=15, preset='fast', starts=3, varying=False, seed=0)"
    assert repr(BlindDAEP(size=15, starts=3)) == shown


def test_before_a_call_there_is_no_kernel() -> None:
    for name in ("confidence", "verdict"):
        with pytest.raises(RuntimeError, match=f"{name}: BlindDAEP has not been called"):
            getattr(BlindDAEP(), name)
    with pytest.raises(RuntimeError, match="kernel: BlindDAEP has not been called"):
        _ = BlindDAEP(size=5).kernel
