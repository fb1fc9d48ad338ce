"""``DAEP``: every task in one line, the same image for the same seed, and refusals before the network is asked."""

import copy
import math
from dataclasses import replace

import deepinv as dinv
import pytest
import torch
from deepinv.physics import GaussianNoise, LinearPhysics

from daep_deepinv import DAEP, DAEPrior, DivergenceError, degradation, starting_point
from daep_prior import Schedule, schedules

SIZE = (3, 18, 24)
PRESETS = ("annealed", "paper", "paper-sr")
ITERATIONS = 4
NOISE = 0.02


def kernel():
    return torch.rand(3, 5, generator=torch.Generator().manual_seed(0))


class UserWritten(LinearPhysics):
    """What someone wrote this morning: every second row, mirrored; only ``A`` and ``A_adjoint``."""

    def A(self, x, **kwargs):
        return x[..., ::2, :].flip(-1)

    def A_adjoint(self, y, **kwargs):
        x = y.new_zeros(*y.shape[:-2], 2 * y.shape[-2], y.shape[-1])
        x[..., ::2, :] = y.flip(-1)
        return x


def noisy(**kwargs):
    return {"noise_model": GaussianNoise(NOISE, rng=torch.Generator().manual_seed(0)), **kwargs}


TASKS = {
    "deblurring, valid": lambda: degradation(kernel(), sigma=NOISE),
    "deblurring, circular": lambda: dinv.physics.Blur(kernel()[None, None] / kernel().sum(), "circular", **noisy()),
    "deblurring, Fourier": lambda: dinv.physics.BlurFFT(SIZE, kernel()[None, None] / kernel().sum(), **noisy()),
    "inpainting": lambda: dinv.physics.Inpainting(SIZE, mask=0.7, rng=torch.Generator().manual_seed(0)),
    "inpainting, noisy": lambda: dinv.physics.Inpainting(SIZE, mask=0.7, **noisy()),
    "denoising": lambda: dinv.physics.Denoising(GaussianNoise(0.1)),
    "super-resolution x2": lambda: dinv.physics.DownsamplingMatlab(factor=2),
    "super-resolution x3": lambda: dinv.physics.DownsamplingMatlab(factor=3),
    "super-resolution x3, closed": lambda: degradation(factor=3, img_size=SIZE),
    "super-resolution, deepinv's filter": lambda: dinv.physics.Downsampling(SIZE, "bicubic", factor=2),
    "decimation": lambda: degradation(factor=2, downsampling="decimate", img_size=SIZE),
    "blur and reduction": lambda: degradation(kernel(), 2, NOISE),
    "user-written": UserWritten,
    "compressed sensing": lambda: dinv.physics.CompressedSensing(m=400, img_size=SIZE),
    "stacked": lambda: dinv.physics.StackedLinearPhysics([degradation(kernel(), padding="circular"), degradation()]),
}


@pytest.fixture(params=TASKS)
def physics(request):
    torch.manual_seed(0)
    return TASKS[request.param]()


@pytest.fixture
def deblurring(images):
    """A small problem: images, physics and measurement."""
    physics = degradation(kernel(), sigma=NOISE)
    x = images(2, *SIZE)
    torch.manual_seed(0)
    return x, physics, physics(x)


def same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else all(map(torch.equal, a, b))


def one_of(y, i):
    """Image ``i`` of a measurement, as a batch of one."""
    return dinv.utils.TensorList([part[i, None] for part in y]) if isinstance(y, dinv.utils.TensorList) else y[i, None]


# -- tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_on_every_task(preset, physics, unet, images):
    x = images(2, *SIZE)
    y = physics(x)
    before = y.clone()
    with torch.enable_grad():
        out = DAEP(NOISE, unet, preset, max_iter=ITERATIONS)(y, physics)
    assert out.shape == x.shape
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
    assert not out.requires_grad
    assert same(y, before)


@pytest.mark.parametrize("preset", ["annealed", "paper"])
def test_every_task_ends_close_to_its_measurement(preset, physics, make_gaussian, images):
    """With a denoiser that is right about images like these, the data are explained to a few times the noise."""
    x = images(1, *SIZE)
    y = physics(x)
    out = DAEP(NOISE, DAEPGuess(), preset, max_iter=40 if preset == "paper" else 10)(y, physics)

    def misfit(z):
        difference = physics.A(z) - y
        parts = difference if isinstance(difference, dinv.utils.TensorList) else [difference]
        return max(float(part.abs().mean()) for part in parts)

    assert misfit(out) < max(4 * NOISE, 0.5 * misfit(torch.full_like(x, 0.5)))


class DAEPGuess(dinv.models.base.Denoiser):
    """A blur: no network, but a fair denoiser of the smooth images here."""

    def forward(self, x, sigma=None, **kwargs):
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def test_tomography_of_grey_images_runs(unet, images):
    physics = dinv.physics.Tomography(angles=12, img_width=20, normalize=True)
    x = images(2, 1, 20, 20)
    out = DAEP(NOISE, denoiser=unet, max_iter=3)(physics(x), physics)
    assert out.shape == x.shape


def test_decimation_without_filter_runs(unet, images):
    """deepinv 0.5.0 has no working proximal step for it, and so neither have its own solvers."""
    physics = dinv.physics.Downsampling(SIZE, None, factor=2)
    x = images(1, *SIZE)
    with pytest.raises(TypeError):
        physics.prox_l2(x, physics(x), 1.0)
    assert DAEP(NOISE, denoiser=unet, max_iter=3)(physics(x), physics).shape == x.shape


def test_the_documented_defaults(shipped, images):
    """No argument but the noise: the shipped networks, 36 iterations and three hundred."""
    shipped("dae")
    shipped("dae-sigma25")
    blur = degradation(kernel(), sigma=NOISE)
    blurred = blur.A(images(1, 3, 32, 32))
    lengths = {name: len(DAEP(preset=name).plan(blurred, blur)[0].schedule) for name in schedules.PRESETS}
    assert lengths == {"annealed": 36, "fast": 8, "best": 72, "paper": 300, "paper-sr": 300}
    physics = dinv.physics.Denoising(GaussianNoise(0.1))
    x = images(1, 3, 32, 32)
    torch.manual_seed(0)
    y = physics(x)
    out = DAEP()(y, physics)
    assert (out - x).square().mean() < 0.3 * (y - x).square().mean()


# -- the noise level -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [0.05, torch.tensor(0.05), torch.tensor([0.05]), torch.tensor([0.05, 0.05])], ids=str)
def test_the_noise_level_is_read_from_the_physics(form, unet, images):
    physics = dinv.physics.Denoising(GaussianNoise(0.3))
    physics.noise_model.sigma = torch.as_tensor(form)
    y = images(2, *SIZE)
    stated = DAEP(0.05, denoiser=unet, max_iter=ITERATIONS)(y, physics)
    read = DAEP(denoiser=unet, max_iter=ITERATIONS)(y, physics)
    assert torch.allclose(read, stated, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3])
def test_physics_without_noise_means_zero(factor, images):
    """Even of a small measurement, whose texture may be noise: a trained network must tell."""
    physics = degradation(factor=factor)
    y = physics(images(1, *SIZE))
    given = DAEP(0, max_iter=ITERATIONS)(y, physics)
    assert torch.equal(DAEP(max_iter=ITERATIONS)(y, physics), given)


@pytest.mark.parametrize(
    "model",
    [GaussianNoise(torch.tensor([0.1, 0.2, 0.3])), GaussianNoise(-0.1), GaussianNoise(math.nan)],
    ids=["three levels for two images", "negative", "NaN"],
)
def test_a_stated_noise_that_does_not_fit_is_refused_by_name(model, make_spy, images):
    spy = make_spy()
    with pytest.raises(ValueError, match="sigma: "):
        DAEP(denoiser=spy, max_iter=ITERATIONS)(images(2, *SIZE), dinv.physics.Denoising(model))
    assert spy.evaluations == 0


def test_an_argument_overrules_the_physics(unet, images):
    y = images(1, *SIZE)
    poisson = dinv.physics.Denoising(dinv.physics.PoissonNoise(0.1))
    assert DAEP(0.1, denoiser=unet, max_iter=ITERATIONS)(y, poisson).shape == y.shape


# -- refusals --------------------------------------------------------------------------------------------------------

BAD_ARGUMENTS = {
    "negative noise": ({"sigma": -0.1}, ValueError, "sigma: got -0.1"),
    "noise not a number": ({"sigma": math.nan}, ValueError, "sigma: got nan"),
    "infinite noise": ({"sigma": math.inf}, ValueError, "sigma: got inf"),
    "noise as text": ({"sigma": "0.1"}, ValueError, "sigma: got '0.1'.*'estimate'"),
    "noise levels as text": ({"sigma": ["0.1", "a"]}, TypeError, "sigma: "),
    "a preset as denoiser": ({"denoiser": "fast"}, ValueError, "write preset='fast'"),
    "no white": ({"scale": 0}, ValueError, "scale: got 0"),
    "one limit": ({"bounds": 1}, ValueError, "bounds: got 1"),
    "limits in the wrong order": ({"bounds": (1, 0)}, ValueError, "bounds: .*low < high"),
    "saturation as text": ({"saturation": "all"}, ValueError, "saturation: got 'all'"),
    "no data fidelity": ({"data_fidelity": "l1"}, TypeError, "data_fidelity: got str"),
    "unknown preset": (
        {"preset": "slow"},
        ValueError,
        "preset: got 'slow'.*'annealed', 'fast', 'best', 'paper', 'paper-sr'",
    ),
    "unknown argument": ({"iterations": 3}, TypeError, "iterations"),
    "deepinv's stepsize": ({"stepsize": 0.1}, TypeError, "stepsize"),
    "no iterations": ({"max_iter": 0}, ValueError, "max_iter: got 0"),
    "negative iterations": ({"max_iter": -3}, ValueError, "max_iter: got -3"),
    "half an iteration": ({"max_iter": 2.5}, ValueError, "max_iter: got 2.5"),
    "two lengths": ({"max_iter": 3, "schedule": schedules.annealed(iterations=4)}, ValueError, "max_iter, schedule"),
    "unknown noise": ({"noise": "some"}, ValueError, "noise: got 'some'"),
    "no tile": ({"tile": 0}, ValueError, "tile: got 0"),
    "unknown criterion": ({"crit_conv": "psnr"}, ValueError, "crit_conv: got 'psnr'"),
    "energy without Jacobian": ({"crit_conv": "cost", "jacobian": False}, ValueError, "crit_conv: "),
    "a switch as text": ({"check_noise": "no"}, TypeError, "check_noise: got 'no'; expected True or False"),
    "early stop as text": ({"early_stop": "no"}, TypeError, "early_stop: got 'no'"),
    "no metric": ({"custom_metrics": {"mine": 3}}, TypeError, "mine.*got int; expected a function"),
    "no device": ({"device": "gpu"}, ValueError, "device: got 'gpu'"),
    "no denoiser": ({"denoiser": lambda x, sigma: x}, TypeError, "denoiser: got function"),
    "unknown network": ({"denoiser": "dae-sigma26"}, FileNotFoundError, "dae-sigma26"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_a_bad_argument_is_refused_by_name_at_construction(case, make_spy):
    arguments, error, message = BAD_ARGUMENTS[case]
    spy = make_spy()
    with pytest.raises(error, match=message):
        DAEP(**{"denoiser": spy, **arguments})
    assert spy.evaluations == 0


def spoiled(y, value):
    y = y.clone()
    y[0, 0, 3, 3] = value
    return y


def plain(*shape):
    return torch.full(shape, 0.5)


BAD_CALLS = {
    "NaN": (lambda y, p: (spoiled(y, math.nan), p), {}, "y: .*NaN"),
    "infinite": (lambda y, p: (spoiled(y, math.inf), p), {}, "y: .*infinite"),
    "integers": (lambda y, p: ((255 * y).to(torch.uint8), p), {}, "y: got a tensor of torch.uint8"),
    "numpy": (
        lambda y, p: (y.numpy(), p),
        {},
        "y: got an object of type numpy.ndarray; expected a floating-point torch.Tensor",
    ),
    "no tensor": (lambda y, p: ([[0.5]], p), {}, "y: got an object of type list"),
    "empty batch": (lambda y, p: (y[:0], p), {}, r"y: got shape \(0, .* contains no value"),
    "no batch": (lambda y, p: (y[0], p), {}, r"y: a measurement of shape \(3, .* does not fit"),
    "no physics": (lambda y, p: (y, None), {}, "physics: got NoneType|sigma: "),
    "mask of another size": (
        lambda y, p: (y, dinv.physics.Inpainting((3, 8, 8), mask=0.5)),
        {},
        "y: a measurement of shape .* does not fit this physics",
    ),
    "image of another size": (
        lambda y, p: (plain(1, 3, 9, 9), dinv.physics.BlurFFT((3, 16, 16), plain(1, 1, 3, 3) / 4.5)),
        {},
        "y: |init: ",
    ),
    "start of another size": (lambda y, p: (y, p), {"init": plain(2, 3, 7, 7)}, "y: got shape .* to "),
    "start of another batch": (lambda y, p: (y, p), {"init": plain(5, *SIZE)}, "y: got shape .* to "),
}


@pytest.mark.parametrize("preset", ["annealed", "paper"])
@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_is_refused_before_the_network_is_asked(case, preset, make_spy, deblurring):
    change, arguments, message = BAD_CALLS[case]
    _, physics, y = deblurring
    y, physics = change(y, physics)
    spy = make_spy()
    with pytest.raises(ValueError, match=message):
        DAEP(NOISE, spy, preset, max_iter=ITERATIONS)(y, physics, **arguments)
    assert spy.evaluations == 0


def test_a_start_of_another_type_is_refused(make_spy, deblurring):
    _, physics, y = deblurring
    with pytest.raises(TypeError, match="init: got str"):
        DAEP(NOISE, denoiser=make_spy())(y, physics, init="bicubic")


def test_seeds_for_another_number_of_images_are_refused(make_spy, deblurring):
    _, physics, y = deblurring
    spy = make_spy()
    with pytest.raises(ValueError, match="seed: got 3 seeds for 2 images"):
        DAEP(NOISE, denoiser=spy, seed=[1, 2, 3])(y, physics)
    assert spy.evaluations == 0


def test_a_noise_conditional_network_is_needed_where_the_width_varies(make_spy, deblurring):
    """A denoiser for one level keeps its level, whatever the schedule would like."""
    _, physics, y = deblurring
    spy, seen = make_spy(), []
    spy.sigma = 0.1
    forward = spy.forward
    spy.forward = lambda x, sigma=None, **k: seen.append(sigma) or forward(x, sigma)
    DAEP(NOISE, denoiser=spy, max_iter=3)(y, physics)
    assert set(seen) == {0.1}


# -- divergence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("jacobian", [True, False])
def test_a_network_that_fails_is_reported(preset, value, jacobian, make_spy, deblurring):
    _, physics, y = deblurring
    spy = make_spy(lambda z: z * value)
    with pytest.raises(DivergenceError, match="no longer finite"):
        DAEP(NOISE, spy, preset, max_iter=ITERATIONS, jacobian=jacobian)(y, physics)
    assert spy.evaluations == 1


def test_a_network_that_fails_late_is_reported(make_spy, deblurring):
    _, physics, y = deblurring
    spy = make_spy(lambda z: z * (math.nan if spy.evaluations == 3 else 0.9))
    with pytest.raises(DivergenceError):
        DAEP(NOISE, denoiser=spy, max_iter=10)(y, physics)
    assert spy.evaluations == 3


def test_a_divergence_is_an_arithmetic_error():
    assert issubclass(DivergenceError, ArithmeticError)


# -- the same image --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_image_bit_by_bit(preset, unet, deblurring):
    _, physics, y = deblurring
    model = DAEP(NOISE, unet, preset, max_iter=ITERATIONS, seed=7)
    first = model(y, physics)
    assert torch.equal(model(y, physics), first)
    assert torch.equal(DAEP(NOISE, unet, preset, max_iter=ITERATIONS, seed=7)(y, physics), first)
    assert torch.equal(copy.deepcopy(model)(y, physics), first)
    assert torch.equal(torch.compile(model)(y, physics), first)
    assert not torch.equal(DAEP(NOISE, unet, preset, max_iter=ITERATIONS, seed=8)(y, physics), first)


def test_the_global_random_state_is_neither_used_nor_changed(unet, deblurring):
    _, physics, y = deblurring
    model = DAEP(NOISE, denoiser=unet, max_iter=ITERATIONS)
    torch.manual_seed(1)
    first = model(y, physics)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    torch.manual_seed(2)
    assert torch.equal(model(y, physics), first)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(16, 16), (21, 13), (9, 34)])
def test_an_image_is_restored_to_the_same_alone_and_in_a_batch(preset, unet, images, size):
    physics = degradation(kernel(), sigma=NOISE, padding="circular", img_size=(3, *size))
    x = images(3, 3, *size)
    y = torch.cat([physics(one[None]) for one in x])
    for seed, seeds in ((5, [5, 5, 5]), ([1, 2, 3], [1, 2, 3])):
        together = DAEP(NOISE, unet, preset, max_iter=8, seed=seed)(y, physics)
        for i in range(3):
            alone = DAEP(NOISE, unet, preset, max_iter=8, seed=seeds[i])(y[i : i + 1], physics)
            assert (alone - together[i : i + 1]).abs().max() < 1e-5


def test_alone_and_in_a_batch_for_every_task(physics, unet, images):
    """Also where the start and the proximal step are iterative: deepinv's iterations end when the last image is done.

    In float32 and to 5e-5: a matrix product rounds a batch differently (compressed sensing), which bf16 makes a hundred
    times larger.
    """
    unet.compute_dtype = torch.float32
    y = physics.A(images(3, *SIZE))
    together = DAEP(NOISE, denoiser=unet, max_iter=5)(y, physics)
    for i in range(3):
        alone = DAEP(NOISE, denoiser=unet, max_iter=5)(one_of(y, i), physics)
        assert (alone - together[i : i + 1]).abs().max() < 5e-5


@pytest.mark.parametrize("preset", ["annealed", "paper"])
def test_alone_and_in_a_batch_by_a_trained_network(preset, trained, images):
    physics = degradation(kernel(), sigma=NOISE, padding="circular", img_size=(3, 33, 40))
    y = physics.A(images(3, 3, 33, 40))
    together = DAEP(NOISE, trained, preset, max_iter=8)(y, physics)
    # torch 2.5 rounds arithmetic of complex numbers differently in a batch, which these iterations magnify
    tolerance = 1e-3 if torch.__version__.startswith("2.5.") else 1e-5
    for i in range(3):
        alone = DAEP(NOISE, trained, preset, max_iter=8)(y[i : i + 1], physics)
        assert (alone - together[i]).abs().max() < tolerance


def test_the_size_may_change_between_calls(unet, images):
    model = DAEP(NOISE, denoiser=unet, max_iter=ITERATIONS)
    for size in ((16, 16), (9, 21), (16, 16)):
        physics = degradation(kernel(), sigma=NOISE)
        y = physics.A(images(2, 3, *size))
        expected = DAEP(NOISE, denoiser=unet, max_iter=ITERATIONS)(y, physics)
        assert torch.equal(model(y, physics), expected)


# -- what it must not touch ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_measurement_start_truth_and_physics_are_left_alone(preset, unet, deblurring):
    x, physics, y = deblurring
    start = torch.rand_like(x) * 2 - 0.5
    given = [t.clone() for t in (x, y, start)]
    state = copy.deepcopy(physics.state_dict())
    for init in (start, (start, start), {"est": (start, start)}):
        keys = set(init) if isinstance(init, dict) else None
        DAEP(NOISE, unet, preset, max_iter=2)(y, physics, init=init, x_gt=x, compute_metrics=True)
        assert keys is None or set(init) == keys
    assert all(torch.equal(a, b) for a, b in zip((x, y, start), given, strict=True))
    assert not any(t.requires_grad for t in (x, y, start))
    assert all(torch.equal(v, state[k]) for k, v in physics.state_dict().items())
    assert all(p.grad is None for p in unet.parameters())


def test_a_measurement_that_requires_a_gradient_is_restored_without_one(unet, deblurring):
    _, physics, y = deblurring
    y.requires_grad_()
    out = DAEP(NOISE, denoiser=unet, max_iter=2)(y, physics)
    assert not out.requires_grad
    assert y.grad is None


def test_the_users_network_stays_where_it_is(unet):
    """A network on another device must not be fetched to the CPU by a default; "meta" stands for any other."""
    unet.to("meta")
    DAEP(NOISE, denoiser=unet)
    assert next(unet.parameters()).device.type == "meta"


def test_it_runs_inside_inference_mode(unet, deblurring):
    _, physics, y = deblurring
    with torch.inference_mode():
        out = DAEP(NOISE, denoiser=unet, max_iter=2)(y, physics)
    assert out.shape == (2, *SIZE)


# -- as a deepinv reconstructor --------------------------------------------------------------------------------------


def test_it_is_a_deepinv_reconstructor(unet):
    model = DAEP(NOISE, denoiser=unet)
    assert isinstance(model, dinv.models.base.Reconstructor)
    assert len(list(model.parameters())) == len(list(unet.parameters()))
    assert isinstance(model.prior, DAEPrior)


def test_moving_it_moves_its_network(unet, images):
    model = DAEP(NOISE, denoiser=unet, max_iter=2).double()
    physics = degradation(kernel().double(), sigma=NOISE).double()
    out = model(physics.A(images(1, *SIZE, dtype=torch.float64)), physics)
    assert out.dtype == torch.float64
    assert next(model.prior.denoiser.parameters()).dtype == torch.float64


@pytest.mark.parametrize("preset", PRESETS)
def test_metrics_are_deepinvs(preset, unet, deblurring):
    x, physics, y = deblurring
    model = DAEP(NOISE, unet, preset, max_iter=3, custom_metrics={"one": lambda history, before, after: 1.0})
    out, metrics = model(y, physics, x_gt=x, compute_metrics=True)
    assert out.shape == x.shape
    ours = {"data_residual", "discrepancy", "step_length", "energy"}
    assert set(metrics) == {"psnr", "residual", "cost", "one"} | ours
    lengths = {name: [len(values) for values in column] for name, column in metrics.items()}
    assert lengths.pop("psnr") == [4, 4]
    assert set(map(tuple, lengths.values())) == {(3, 3)}


def test_metrics_do_not_change_the_image(unet, deblurring):
    x, physics, y = deblurring
    model = DAEP(NOISE, denoiser=unet, max_iter=3)
    assert torch.equal(model(y, physics, x_gt=x, compute_metrics=True)[0], model(y, physics))


@pytest.mark.parametrize("criterion", ["residual", "cost"])
def test_early_stopping_saves_evaluations(criterion, make_spy, deblurring):
    _, physics, y = deblurring
    spy = make_spy()
    model = DAEP(NOISE, spy, "paper", early_stop=True, crit_conv=criterion, thres_conv=0.5, max_iter=100)
    model(y, physics)
    assert model.has_converged
    assert spy.evaluations < 10


def test_the_cost_is_computed_for_those_who_look_at_it(make_spy, deblurring):
    _, physics, y = deblurring
    evaluations = []
    for metrics in (False, True, False):
        spy = make_spy()
        DAEP(NOISE, spy, "paper", max_iter=5)(y, physics, compute_metrics=metrics)
        evaluations.append(spy.evaluations)
    assert evaluations == [5, 10, 5]  # with the cost: a second one an iteration


def test_evaluations_are_those_that_were_asked_for(make_spy, deblurring):
    _, physics, y = deblurring
    counts = {}
    for name, arguments in {"plain": {}, "without noise": {"noise": "none"}}.items():
        spy = make_spy()
        DAEP(NOISE, spy, "paper", max_iter=3, **arguments)(y, physics)
        counts[name] = spy.evaluations
    assert counts == {"plain": 3, "without noise": 3}


def test_verbose_runs_do_not_disturb(unet, deblurring, capsys):
    _, physics, y = deblurring
    expected = DAEP(NOISE, denoiser=unet, max_iter=3)(y, physics)
    got = DAEP(NOISE, denoiser=unet, max_iter=3, verbose=True, show_progress_bar=True)(y, physics)
    assert torch.equal(got, expected)
    capsys.readouterr()


def test_a_schedule_of_ones_own_is_followed(make_spy, deblurring):
    _, physics, y = deblurring
    spy, seen = make_spy(), []
    forward = spy.forward
    spy.forward = lambda x, sigma=None, **k: seen.append(sigma) or forward(x, sigma)
    ones = (1.0,) * 3
    mine = Schedule((0.3, 0.2, 0.1), (50.0,) * 3, ones, (0.5,) * 3, (0.0,) * 3, ones, final_width=0.05)
    DAEP(NOISE, denoiser=spy, schedule=mine)(y, physics)
    assert seen == [0.3, 0.2, 0.1, 0.05]


def test_where_it_starts_can_be_chosen(unet, deblurring):
    _, physics, y = deblurring
    default = DAEP(NOISE, denoiser=unet, max_iter=2)(y, physics)
    start = starting_point(y, physics)
    model = DAEP(NOISE, denoiser=unet, max_iter=2)
    assert torch.equal(model(y, physics, init=start), default)
    assert torch.equal(model(y, physics, init=starting_point), default)
    assert not torch.equal(model(y, physics, init=torch.rand_like(start)), default)
    grey = DAEP(NOISE, denoiser=unet, max_iter=2, custom_init=lambda y, physics: torch.full_like(start, 0.5))
    assert not torch.equal(grey(y, physics), default)


def test_the_papers_solver_leaves_the_unmeasured_border_to_the_data(make_spy, deblurring):
    """The authors' program: no prior gradient on the border that a valid blur does not measure."""
    x, physics, y = deblurring
    start, top, left = torch.full_like(x, 0.5), 1, 2
    made = DAEP(NOISE, make_spy(lambda z: z - 0.1), "paper", max_iter=1, jacobian=False, noise="none")
    blind = dinv.physics.Blur(filter=torch.zeros(1, 1, 3, 5), padding="valid")  # sees nothing, but where it would
    moved = made(torch.zeros_like(y), blind, init=start) - start
    assert bool((moved[..., :top, :] == 0).all() and (moved[..., :left] == 0).all())
    assert bool((moved[..., top:-top, left:-left] != 0).all())


# -- dark images -------------------------------------------------------------------------------------------------------


def test_fast_does_not_lighten_what_is_dark(shipped):
    """Clipped iterates keep the bright half of the noise: it would be 5 instead of 2 of 255."""
    dark = torch.full((1, 3, 96, 96), 2 / 255)
    physics = degradation(kernel(), sigma=NOISE)
    y = physics.A(dark)
    y = y + 12.75 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    restored = DAEP(12.75 / 255, shipped("dae"), "fast")(y, physics)
    assert 255 * float(restored.mean()) == pytest.approx(2, abs=0.4)
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1


# -- grey images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["annealed", "fast"])
def test_a_grey_image_of_three_channels_is_restored_as_one_channel(preset, unet, deblurring):
    _, physics, y = deblurring
    grey = y.mean(1, keepdim=True)
    model = DAEP(NOISE, unet, preset, max_iter=3)
    as_grey = model(grey, physics)
    as_colour = model(grey.repeat(1, 3, 1, 1), physics)
    assert as_colour.shape[1] == 3
    assert torch.allclose(as_colour, as_grey.expand_as(as_colour), atol=1e-6)


def test_the_papers_presets_show_a_grey_image_as_it_is(unet, deblurring):
    """The paper's protocol: one noise field in three channels, each restored with its own noise of eq. 8."""
    _, physics, y = deblurring
    y = y.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    out = DAEP(NOISE, unet, "paper", max_iter=3)(y, physics)
    assert not torch.equal(out[:, 0], out[:, 1])


@pytest.mark.parametrize("seed", [5, [5, 6]])
def test_grey_and_coloured_images_in_a_batch_are_restored_as_alone(seed, unet, deblurring):
    x, physics, y = deblurring
    y = torch.cat([y[:1].mean(1, keepdim=True).repeat(1, 3, 1, 1), y[1:]])
    model = DAEP(NOISE, denoiser=unet, max_iter=4, seed=seed)
    together, metrics = model(y, physics, x_gt=x, compute_metrics=True)
    assert len(metrics["psnr"]) == len(model.history["discrepancy"]) == 2
    for i in range(2):
        alone = DAEP(NOISE, denoiser=unet, max_iter=4, seed=seed if isinstance(seed, int) else seed[i])
        assert torch.allclose(together[i : i + 1], alone(y[i : i + 1], physics), atol=1e-5)
    assert torch.equal(model(y, physics), together)  # the seeds are back as they were


def test_physics_made_for_three_channels_restores_a_grey_image_too(unet, images):
    mask = (images(1, 1, *SIZE[1:]) > 0.5).float().repeat(1, 3, 1, 1)
    physics = dinv.physics.Inpainting(img_size=SIZE, mask=mask)
    grey = images(1, 1, *SIZE[1:]).repeat(1, 3, 1, 1)
    y = physics.A(grey)
    restored = DAEP(0, denoiser=unet, max_iter=2)(y, physics)
    assert restored.shape == grey.shape
    assert torch.allclose(restored * mask, y, atol=0.05)


@pytest.mark.parametrize(("preset", "length"), [("annealed", 30), ("fast", 8), ("best", 60)])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_missing_pixels_have_a_schedule_of_their_own(preset, length, noise, unet, images):
    physics = dinv.physics.Inpainting(img_size=SIZE, mask=0.5, rng=torch.Generator().manual_seed(0))
    y = physics.A(images(1, *SIZE))
    model = DAEP(noise, preset=preset, denoiser=unet)
    restored = model(y, physics)
    assert len(model.history["step_length"][0]) == length
    scheduled = DAEP(noise, denoiser=unet, schedule=schedules.missing_pixels(noise, length))
    assert torch.equal(restored, scheduled(y, physics))


def test_the_dual_variable_fills_holes_better_and_keeps_what_was_measured(shipped):
    """On a photograph: more than the same steps without it, and more than the schedule of other operators."""
    skimage = pytest.importorskip("skimage")
    x = torch.from_numpy(skimage.data.astronaut()[40:136, 160:256].copy()).permute(2, 0, 1)[None].float() / 255
    mask = (torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)) > 0.7).float()
    physics = dinv.physics.Inpainting(img_size=x.shape[1:], mask=mask)
    y = physics.A(x)
    network, with_dual = shipped("dae"), schedules.missing_pixels()
    without = replace(with_dual, dual=False)
    psnr = {
        name: float(dinv.metric.PSNR()(DAEP(0, denoiser=network, schedule=schedule)(y, physics), x))
        for name, schedule in (("dual", with_dual), ("none", without), ("annealed", schedules.annealed(0)))
    }
    assert psnr["dual"] > psnr["none"] + 0.5
    assert psnr["dual"] > psnr["annealed"]
    assert torch.allclose(DAEP(0, denoiser=network)(y, physics) * mask, y, atol=1 / 255)


@pytest.mark.parametrize("iterations", [None, 60])
def test_a_smooth_sky_stays_smooth(shipped, iterations):
    """Stripes of a pixel are not seen by the measurement; a solver whose steps are too long makes them grow."""
    shipped("dae")
    height = torch.linspace(0, 1, 64)[:, None]
    sky = torch.stack([0.35 + 0.1 * height, 0.5 + 0.1 * height, 0.7 + 0.05 * height])[None].expand(1, 3, 64, 64)
    physics = degradation(factor=2, img_size=(3, 64, 64))
    y = (255 * physics.A(sky)).round() / 255
    assert dinv.metric.PSNR()(DAEP(0, max_iter=iterations)(y, physics), sky) > 50


# -- what is suspicious is said ----------------------------------------------------------------------------------------


def test_noise_in_other_units_is_suspected(make_spy, deblurring):
    _, physics, y = deblurring
    with pytest.warns(UserWarning, match=r"sigma: 2.55 is more than the largest value .* perhaps 2.55/255"):
        DAEP(2.55, denoiser=make_spy(), max_iter=1)(y, physics)


class Shift(dinv.physics.LinearPhysics):
    """Moves the image by some columns, and its supposed adjoint by ``back``."""

    def __init__(self, back):
        super().__init__()
        self.back = back

    def A(self, x, **kwargs):
        return x.roll(3, -1)

    def A_adjoint(self, y, **kwargs):
        return y.roll(self.back, -1)


def test_an_operator_with_a_wrong_adjoint_is_suspected(make_spy, recwarn):
    y = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="physics: A_adjoint of Shift is not the adjoint of A"):
        DAEP(NOISE, denoiser=make_spy(), max_iter=1)(y, Shift(3))
    recwarn.clear()
    DAEP(NOISE, denoiser=make_spy(), max_iter=1)(y, Shift(-3))
    assert not [w for w in recwarn if "adjoint" in str(w.message)]
