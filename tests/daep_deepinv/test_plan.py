"""The plan of a call: what it says, that it is followed, and that calls do not disturb each other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import deepinv as dinv
import pytest
import torch
from deepinv.physics import GaussianNoise

from daep_deepinv import DAEP, degradation, starting_point
from daep_prior import schedules

NOISE = 0.02
SIZE = (3, 18, 24)


@pytest.fixture
def deblurring(images):
    physics = degradation(torch.ones(3, 5) / 15, sigma=NOISE)
    return physics, physics.A(images(2, *SIZE))


# -- what it says ----------------------------------------------------------------------------------------------------


def test_a_plan_is_made_without_restoring(make_spy, deblurring):
    physics, y = deblurring
    spy = make_spy()
    plans = DAEP(NOISE, denoiser=spy).plan(y, physics)
    assert spy.evaluations == 0
    assert len(plans) == 2 and plans[0] == plans[1]
    plan = plans[0]
    assert (
        plan.image_shape == SIZE and plan.channels == "colour" and plan.range.bounds == (0, 1) and plan.range.scale == 1
    )
    assert plan.noise.level == NOISE and plan.noise.source == "given" and plan.noise.kind == "white Gaussian"
    assert plan.preset == "annealed" and plan.schedule == schedules.annealed(NOISE)
    assert plan.data_term == "least squares" and plan.start == "the measurement, padded by replication"
    assert plan.warnings == ()
    with pytest.raises(FrozenInstanceError):
        plan.preset = None


def test_the_plan_that_was_shown_is_the_plan_that_is_run(unet, deblurring):
    physics, y = deblurring
    model = DAEP(denoiser=unet, max_iter=3)
    assert model.plans == ()
    plans = model.plan(y, physics)
    assert model.plans == ()
    model(y, physics)
    assert model.plans == plans
    assert model.noise_level == [plan.noise.level for plan in plans]
    assert [len(row) for row in model.history["step_length"]] == [len(plan.schedule) for plan in plans]


@pytest.mark.parametrize(
    ("make", "sigma", "expected"),
    [
        (lambda: degradation(factor=2, img_size=SIZE), 0, "the measurement, enlarged 2 times (bicubic)"),
        (lambda: dinv.physics.Denoising(GaussianNoise(0.1)), None, "the measurement"),
        (lambda: dinv.physics.Inpainting(SIZE, mask=0.5), 0, "the known pixels, the missing ones interpolated"),
        (lambda: dinv.physics.CompressedSensing(m=400, img_size=SIZE), 0.1, "the pseudo-inverse of the measurement"),
    ],
)
def test_a_plan_names_where_it_starts(make, sigma, expected, unet, images):
    torch.manual_seed(0)
    physics = make()
    y = physics(images(1, *SIZE))
    assert DAEP(sigma, denoiser=unet).plan(y, physics)[0].start == expected
    given = DAEP(sigma, denoiser=unet).plan(y, physics, init=images(1, *SIZE))[0]
    assert given.start == "a given image"
    computed = DAEP(sigma, denoiser=unet, custom_init=lambda y, p: starting_point(y, p)).plan(y, physics)[0]
    assert computed.start == "computed by the given function"


def test_a_plan_tells_how_the_noise_is_known(unet, deblurring):
    physics, y = deblurring
    assert DAEP(denoiser=unet).plan(y, physics)[0].noise.source == "stated"
    assert DAEP(0.1, denoiser=unet).plan(y, physics)[0].noise.source == "given"
    assert DAEP("estimate", denoiser=unet).plan(y, physics)[0].noise.source == "estimated"
    assert DAEP(0, denoiser=unet).plan(y, physics)[0].noise.kind == "noise-free"


def test_grey_images_are_planned_as_grey(unet, deblurring):
    physics, y = deblurring
    y = torch.cat([y[:1].mean(1, keepdim=True).repeat(1, 3, 1, 1), y[1:]])
    plans = DAEP(NOISE, denoiser=unet).plan(y, physics)
    assert [plan.channels for plan in plans] == ["grey, stored as three channels", "colour"]
    assert DAEP(NOISE, denoiser=unet).plan(y[:, :1], physics)[0].channels == "grey"


def test_it_prints_as_a_short_table(unet, deblurring):
    physics, y = deblurring
    model = DAEP(denoiser=unet)
    text = str(model.plan(y, physics))
    lines = text.splitlines()
    assert len(lines) == 7 and max(map(len, lines)) < 120
    assert lines[2].split(None, 1) == ["noise", "5.1/255, white Gaussian (stated)"]
    mixed = torch.cat([y[:1].mean(1, keepdim=True).repeat(1, 3, 1, 1), y[1:]])
    both = str(model.plan(mixed, physics))
    assert "image 0" in both and "image 1" in both
    html = model.plan(y, physics)._repr_html_()
    assert html.count("<table>") == 1 and "white Gaussian (stated)" in html
    assert model.plan(mixed, physics)._repr_html_().count("<table>") == 2


def test_what_is_suspicious_is_in_the_plan_and_warned_of_in_the_call(unet, deblurring):
    physics, y = deblurring
    model = DAEP(2.55, denoiser=unet, max_iter=1)
    plan = model.plan(y, physics)[0]
    assert "perhaps 2.55/255" in str(plan.warnings[0]) and "perhaps 2.55/255" in str(plan)
    with pytest.warns(UserWarning, match="perhaps 2.55/255"):
        model(y, physics)


# -- schedules and presets -------------------------------------------------------------------------------------------


def test_a_papers_schedule_restores_like_the_preset(unet, deblurring):
    physics, y = deblurring
    by_name = DAEP(NOISE, unet, "paper", max_iter=5)(y, physics)
    assert torch.equal(DAEP(NOISE, denoiser=unet, schedule=schedules.paper(NOISE, iterations=5))(y, physics), by_name)
    assert torch.equal(DAEP(NOISE, unet, schedule=schedules.paper(NOISE, iterations=5))(y, physics), by_name)


def test_without_a_denoiser_a_papers_schedule_takes_the_papers_network(shipped):
    shipped("dae-sigma25")
    assert DAEP(NOISE, schedule=schedules.paper(NOISE)).prior.trained_width == pytest.approx(25 / 255)
    assert DAEP(NOISE, schedule=schedules.annealed(NOISE)).prior.trained_width is None


@pytest.mark.parametrize(
    ("preset", "schedule"),
    [("paper", schedules.annealed(NOISE)), ("annealed", schedules.paper(NOISE)), ("fast", schedules.paper_sr())],
)
def test_a_preset_and_a_schedule_for_different_solvers_are_refused(preset, schedule, make_spy):
    with pytest.raises(ValueError, match=r"preset, schedule: the preset .* uses the .* solver, the schedule is for"):
        DAEP(NOISE, make_spy(), preset, schedule=schedule)


# -- calls beside each other -----------------------------------------------------------------------------------------


def test_one_model_in_four_threads_restores_as_one_after_another(unet, images):
    physics = degradation(torch.ones(3, 5) / 15, sigma=NOISE)
    model = DAEP(NOISE, denoiser=unet, max_iter=6)
    measured = [physics.A(images(1 + i % 2, 3, *((18, 24) if i < 2 else (21, 13)))) for i in range(4)]
    expected = [model(y, physics) for y in measured]
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda y: model(y, physics), measured))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(model.plans) == len(model.noise_level) in (1, 2)


def test_a_callback_sees_every_iteration(unet, deblurring):
    physics, y = deblurring
    seen = []
    model = DAEP(NOISE, denoiser=unet, schedule=schedules.fixed_width(iterations=4))
    out = model(y, physics, callback=lambda plan, k, x: seen.append((plan, k, x)))
    assert [k for _, k, _ in seen] == [0, 1, 2, 3]
    assert all(plan == model.plans[0] for plan, _, _ in seen)
    assert torch.equal(seen[-1][2].clamp(0, 1), out)


def test_numbers_of_every_type_are_a_noise_level(unet, deblurring):
    numpy = pytest.importorskip("numpy")
    physics, y = deblurring
    for level in (numpy.float32(0.05), numpy.array(0.05), torch.tensor(0.05), torch.tensor([0.05])):
        plan = DAEP(level, denoiser=unet).plan(y, physics)[0]
        assert plan.noise.source == "given" and plan.noise.level == pytest.approx(0.05)


def test_a_measurement_made_in_inference_mode_or_with_a_graph_gives_the_same_image(unet, deblurring):
    physics, y = deblurring
    model = DAEP(NOISE, denoiser=unet, max_iter=4)
    expected = model(y, physics)
    with torch.inference_mode():
        inferred = y.clone()
    assert torch.equal(model(inferred, physics), expected)
    assert torch.equal(model(y.clone().requires_grad_(), physics), expected)
