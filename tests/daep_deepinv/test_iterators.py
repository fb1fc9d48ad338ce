"""The two solvers as deepinv iterators: they reach the minimiser, and everything BaseOptim offers works with them."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim import L2, BaseOptim, optim_builder
from deepinv.optim.optim_iterators import OptimIterator

import daep_deepinv
from daep_deepinv import DAEPrior, DivergenceError, HeavyBallIteration, ProximalMomentumIteration

ITERATIONS = {"HeavyBall": HeavyBallIteration, "ProximalMomentum": ProximalMomentumIteration}
WIDTH = 0.1
NOISE = 0.1
SHAPE = (3, 5, 4)
#: On the Gaussian problem below; each iterator gives its step its own meaning.
STEP = {"HeavyBall": 5e-3, "ProximalMomentum": 0.5}


class Mixing(dinv.physics.LinearPhysics):
    """A physics that someone wrote this morning: a random matrix, fewer measurements than pixels."""

    def __init__(self, count=45, seed=0):
        super().__init__()
        pixels = int(torch.tensor(SHAPE).prod())
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.randn(count, pixels, dtype=torch.float64, generator=generator)
        self.matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
        self.gram = self.matrix.T @ self.matrix

    def A(self, x, **kwargs):
        return x.flatten(1) @ self.matrix.T

    def A_adjoint(self, y, **kwargs):
        return (y @ self.matrix).view(y.shape[0], *SHAPE)

    def prox_l2(self, z, y, gamma, **kwargs):
        system = gamma * self.gram + torch.eye(len(self.gram), dtype=self.gram.dtype)
        return torch.linalg.solve(system, (gamma * y @ self.matrix + z.flatten(1)).T).T.view_as(z)


@pytest.fixture(params=ITERATIONS)
def name(request):
    return request.param


@pytest.fixture
def problem(make_gaussian, images):
    """Two images, a user-written physics, and the affine denoiser: a quadratic problem."""
    x = images(2, *SHAPE, dtype=torch.float64)
    physics = Mixing()
    noise = torch.randn(2, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return physics, physics.A(x) + 0.02 * noise, make_gaussian(SHAPE)


def build(name, denoiser, *, bounds=None, noise="none", steps=1.0, weight=50.0, momentum=0.7, **kwargs):
    parameters = {"stepsize": steps * STEP[name], "lambda": weight, "g_param": WIDTH, "momentum": momentum}
    return BaseOptim(
        ITERATIONS[name](bounds=bounds),
        params_algo=parameters,
        prior=kwargs.pop("prior", None) or DAEPrior(denoiser, noise=noise),
        data_fidelity=L2(sigma=NOISE),
        **{"max_iter": 30, **kwargs},
    )


def minimiser(physics, y, gaussian, weight=50.0):
    residual = gaussian.residual_matrix(WIDTH)
    system = physics.gram / NOISE**2 + weight * residual @ residual
    right = y @ physics.matrix / NOISE**2 + weight * gaussian.mean @ residual @ residual
    return torch.linalg.solve(system, right.T).T.view(-1, *SHAPE)


# -- optimality ----------------------------------------------------------------------------------------------------


def test_it_converges_to_the_minimiser(name, problem):
    physics, y, gaussian = problem
    found = build(name, gaussian, max_iter=3000)(y, physics)
    expected = minimiser(physics, y, gaussian)
    assert (found - expected).abs().max() < 1e-6
    data, prior = L2(sigma=NOISE), DAEPrior(gaussian, noise="none")
    condition = data.grad(found, y, physics) + 50.0 * prior.grad(found, WIDTH)
    assert condition.flatten(1).norm(dim=1).max() < 1e-6


def test_it_converges_with_fixed_noise_too(name, problem):
    """The minimiser is then another one, but the optimality condition holds all the same."""
    physics, y, gaussian = problem
    prior = DAEPrior(gaussian, noise="fixed")
    found = build(name, gaussian, prior=prior, max_iter=3000)(y, physics)
    condition = L2(sigma=NOISE).grad(found, y, physics) + 50.0 * prior.grad(found, WIDTH)
    assert condition.flatten(1).norm(dim=1).max() < 1e-6


def test_clipped_heavy_ball_converges_to_the_constrained_minimiser(problem):
    """Where a bound holds a pixel back, the gradient points outwards; elsewhere it vanishes.

    Without momentum, as the velocity that the paper's solver keeps against a bound delays it. Proximal momentum has no
    such test: clipping after a proximal step that mixes pixels ends near the constrained minimiser, not at it.
    """
    physics, y, gaussian = problem
    low, high = 0.35, 0.65
    found = build("HeavyBall", gaussian, bounds=(low, high), max_iter=4000, momentum=0.0)(y, physics)
    slope = L2(sigma=NOISE).grad(found, y, physics) + 50.0 * DAEPrior(gaussian, noise="none").grad(found, WIDTH)
    free = (found > low) & (found < high)
    assert bool((~free).any()), "no bound was reached"
    assert slope[free].abs().max() < 1e-6
    assert bool((slope[found <= low] > 0).all())
    assert bool((slope[found >= high] < 0).all())


def test_iterates_stay_within_the_bounds(name, problem):
    physics, y, gaussian = problem
    found = build(name, gaussian, bounds=(0.35, 0.65))(y, physics)
    assert float(found.min()) == pytest.approx(0.35)
    assert float(found.max()) == pytest.approx(0.65)


@pytest.mark.parametrize("noise", ["none", "fixed"])
def test_the_objective_falls(name, problem, noise):
    physics, y, gaussian = problem
    model = build(name, gaussian, noise=noise, momentum=0.0, max_iter=50)
    _, metrics = model(y, physics, compute_metrics=True)
    for cost in metrics["cost"]:
        assert all(after <= before + 1e-9 for before, after in zip(cost, cost[1:], strict=False))
        assert cost[-1] < 0.5 * cost[0]


def test_a_batch_is_solved_image_by_image(name, problem):
    physics, y, gaussian = problem
    together = build(name, gaussian, noise="fresh")(y, physics)
    for i in range(2):
        alone = build(name, gaussian, noise="fresh")(y[i : i + 1], physics)
        assert (alone - together[i : i + 1]).abs().max() < 1e-8


def test_the_running_mean_is_of_the_last_iterates(problem):
    physics, y, gaussian = problem
    parameters = {"stepsize": 0.5, "lambda": 50.0, "g_param": WIDTH, "momentum": 0.7}
    path = []
    for count in range(1, 7):
        path.append(build("ProximalMomentum", gaussian, max_iter=count)(y, physics))
    model = BaseOptim(
        ProximalMomentumIteration(bounds=None),
        params_algo={**parameters, "average": [1.0, 1.0, 1.0, 1.0, 1 / 2, 1 / 3]},
        prior=DAEPrior(gaussian, noise="none"),
        data_fidelity=L2(sigma=NOISE),
        max_iter=6,
        get_output=lambda X: X["est"][1],
    )
    assert torch.allclose(model(y, physics), sum(path[3:]) / 3)


def test_the_prior_sees_the_image_mirrored_and_answers_for_it_upright(name, problem):
    """A prior that pulls the left edge alone pulls the right one when it is shown the mirror image."""
    physics, y, _ = problem

    class LeftEdge(dinv.optim.Prior):
        def grad(self, x, *args, **kwargs):
            pull = torch.zeros_like(x)
            pull[..., 0] = 1
            return pull

    x = torch.full((1, 1, 4, 5), 0.5, dtype=y.dtype)
    still = ITERATIONS[name]()
    parameters = {"g_param": 0.1, "lambda": 2.0, "stepsize": 0.1, "momentum": 0.0}
    moved = {}
    for flip in (0, 1):
        found = still({"est": (x, x)}, L2(), LeftEdge(), {**parameters, "flip": flip}, x, dinv.physics.Denoising())
        moved[flip] = (found["est"][0] - x).abs()
    assert moved[0][..., 0].min() > 0 and moved[0][..., 1:].max() == 0
    assert torch.equal(moved[1], moved[0].flip(-1))


# -- registration ----------------------------------------------------------------------------------------------------


def test_optim_builder_finds_the_iterators_by_name(name, problem):
    physics, y, gaussian = problem
    daep_deepinv.register()
    daep_deepinv.register()
    prior = DAEPrior(gaussian, noise="none")
    parameters = {"stepsize": STEP[name], "lambda": 50.0, "g_param": WIDTH, "momentum": 0.7}
    model = optim_builder(name, prior=prior, data_fidelity=L2(sigma=NOISE), params_algo=parameters, max_iter=3000)
    x, metrics = model(y, physics, compute_metrics=True)
    assert isinstance(model.fixed_point.iterator, ITERATIONS[name])
    expected = minimiser(physics, y, gaussian)
    assert bool(((expected > 0) & (expected < 1)).all()), "the minimiser lies outside what the iterator clips to"
    assert (x - expected).abs().max() < 1e-5
    assert len(metrics["cost"]) == 2


def test_register_does_not_replace_somebody_elses_iterator(monkeypatch):
    class HeavyBallIteration(OptimIterator):
        pass

    monkeypatch.setattr(dinv.optim.optim_iterators, "HeavyBallIteration", HeavyBallIteration, raising=False)
    with pytest.raises(RuntimeError, match="already has an iterator HeavyBallIteration"):
        daep_deepinv.register()


def test_a_wrong_order_of_steps_is_refused_at_construction(name):
    with pytest.raises(ValueError, match="g_first"):
        ITERATIONS[name](g_first=True)


# -- what BaseOptim offers -------------------------------------------------------------------------------------------


@pytest.fixture
def small(unet, images):
    """A real network on a real physics, two colour images."""
    x = images(2, 3, 16, 20)
    physics = dinv.physics.BlurFFT((3, 16, 20), dinv.physics.functional.gaussian_blur(sigma=1.0))
    return x, physics, physics(x), unet


def starts(x):
    return {
        "nothing": None,
        "tensor": x,
        "function": lambda y, physics: physics.A_adjoint(y),
        "function to a tuple": lambda y, physics: (physics.A_adjoint(y), physics.A_adjoint(y)),
        "tuple": (x, x),
        "tuple of one": (x,),
        "dict": {"est": (x, x)},
    }


#: ``custom_init`` is a function in deepinv, ``init`` may be a value too.
WAYS = [("init", kind) for kind in starts(None)] + [("custom_init", k) for k in starts(None) if "function" in k]


@pytest.mark.parametrize(("where", "kind"), WAYS)
def test_every_form_of_a_start_is_taken_and_left_alone(name, small, kind, where):
    x, physics, y, unet = small
    start = x.clone()
    given = starts(start)[kind]
    model = build(name, unet, noise="fixed", max_iter=3, **({"custom_init": given} if where == "custom_init" else {}))
    out = model(y, physics, **({"init": given} if where == "init" else {}))
    assert out.shape == x.shape
    assert torch.equal(start, x)
    assert not start.requires_grad


def test_metrics_are_those_of_deepinvs_own_solvers(name, small):
    """Same keys, one list an image, one value an iteration (and for the PSNR one before the first)."""
    x, physics, y, unet = small
    seen = []

    def custom(history, before, after):
        seen.append((before.shape, after.shape))
        return float((after - before).abs().max())

    kwargs = {"max_iter": 4, "custom_metrics": {"move": custom}}
    theirs = dinv.optim.GD(
        prior=DAEPrior(unet, noise="fixed"), data_fidelity=L2(), stepsize=0.1, g_param=WIDTH, lambda_reg=1.0, **kwargs
    )
    expected = theirs(y, physics, x_gt=x, compute_metrics=True)[1]
    out, metrics = build(name, unet, noise="fixed", **kwargs)(y, physics, x_gt=x, compute_metrics=True)
    assert {k: [len(i) for i in v] for k, v in metrics.items()} == {k: [len(i) for i in v] for k, v in expected.items()}
    assert all(shape == (x[0].shape, x[0].shape) for shape in seen)
    assert metrics["psnr"][1][-1] == pytest.approx(float(dinv.metric.PSNR()(out[1:], x[1:])), abs=1e-4)


def test_the_cost_is_the_objective_of_each_image(name, small):
    _, physics, y, unet = small
    model = build(name, unet, noise="fixed", max_iter=3)
    out, metrics = model(y, physics, compute_metrics=True)
    expected = L2(sigma=NOISE)(out, y, physics) + 50.0 * DAEPrior(unet, noise="fixed")(out, WIDTH)
    assert [cost[-1] for cost in metrics["cost"]] == pytest.approx(expected.tolist(), rel=1e-5)


def test_an_implicit_prior_has_no_cost(name, small):
    x, physics, y, unet = small
    out, metrics = build(name, unet, prior=DAEPrior(unet, jacobian=False), max_iter=3)(y, physics, compute_metrics=True)
    assert out.shape == x.shape
    assert "cost" not in metrics


@pytest.mark.parametrize("criterion", ["residual", "cost"])
def test_early_stopping_stops(name, problem, criterion):
    physics, y, gaussian = problem
    model = build(name, gaussian, early_stop=True, crit_conv=criterion, thres_conv=1e-4, max_iter=2000)
    _, metrics = model(y, physics, compute_metrics=True)
    assert model.has_converged
    assert 3 <= len(metrics["residual"][0]) < 2000


@pytest.mark.parametrize("bar", [True, False])
def test_verbose_and_the_progress_bar_do_not_disturb(name, small, bar, capsys):
    x, physics, y, unet = small
    model = build(name, unet, verbose=True, show_progress_bar=bar, early_stop=True, thres_conv=10.0, max_iter=5)
    assert model(y, physics).shape == x.shape
    assert "converge crit" in capsys.readouterr().out


def test_a_custom_cost_function_is_used(name, small):
    _, physics, y, unet = small
    iteration = ITERATIONS[name](
        cost_fn=lambda x, data_fidelity, prior, cur_params, y, physics: data_fidelity(x, y, physics)
    )
    model = BaseOptim(
        iteration,
        params_algo={"stepsize": 0.01, "lambda": 1.0, "g_param": WIDTH},
        prior=DAEPrior(unet, noise="fixed"),
        data_fidelity=L2(),
        max_iter=3,
    )
    out, metrics = model(y, physics, compute_metrics=True)
    assert [c[-1] for c in metrics["cost"]] == pytest.approx(L2()(out, y, physics).tolist(), rel=1e-5)


@pytest.mark.parametrize("form", ["(1,)", "(B,)"])
def test_the_width_may_be_a_tensor(name, small, form):
    """In a list of one, as ``BaseOptim`` reads a tensor as a schedule."""
    _, physics, y, unet = small
    width = torch.full((1 if form == "(1,)" else 2,), WIDTH)

    def run(g_param):
        parameters = {"stepsize": STEP[name], "lambda": 1.0, "g_param": g_param}
        prior = DAEPrior(unet, noise="fixed")
        return BaseOptim(
            ITERATIONS[name](), params_algo=parameters, prior=prior, data_fidelity=L2(sigma=NOISE), max_iter=3
        )(y, physics)

    assert torch.allclose(run([width]), run(WIDTH), atol=1e-5)


def test_a_schedule_of_widths_and_weights_is_followed(name, small):
    _, physics, y, unet = small
    seen = []
    prior = DAEPrior(unet, noise="none")
    grad = prior.grad
    prior.grad = lambda x, sigma, **kwargs: seen.append(sigma) or grad(x, sigma)
    parameters = {"stepsize": STEP[name], "lambda": [1.0, 2.0, 3.0], "g_param": [0.3, 0.2, 0.1]}
    model = BaseOptim(ITERATIONS[name](), params_algo=parameters, prior=prior, data_fidelity=L2(), max_iter=3)
    model(y, physics)
    assert seen == [0.3, 0.2, 0.1]


def test_extra_keyword_arguments_of_the_call_are_ignored(name, small):
    x, physics, y, unet = small
    assert build(name, unet, max_iter=2)(y, physics, something=1).shape == x.shape


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("jacobian", [True, False])
def test_divergence_is_reported_and_says_what_to_change(name, make_spy, images, value, jacobian):
    """Also where clipping would hide it: an infinite step clipped to [0, 1] looks like an image."""
    physics = dinv.physics.Denoising()
    spy = make_spy(lambda z: z * value)
    model = build(name, spy, prior=DAEPrior(spy, jacobian=jacobian), bounds=(0.0, 1.0), max_iter=20)
    with pytest.raises(DivergenceError, match=r"lower the step \(stepsize"):
        model(images(2), physics)
    assert spy.evaluations == 1 + jacobian  # the cost of the start is one


def test_a_step_too_long_is_reported_instead_of_returned(problem):
    physics, y, gaussian = problem
    with pytest.raises(DivergenceError):
        build("HeavyBall", gaussian, steps=1e4, max_iter=2000)(y, physics)


# -- unfolding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["fresh", "fixed", "none"])
def test_unfolded_it_trains_everything(name, small, noise):
    """Gradients reach the step, the weight, the width, the momentum and the network; training lowers the loss."""
    x, physics, y, unet = small
    unet.requires_grad_()
    prior = DAEPrior(unet, noise=noise)
    model = BaseOptim(
        ITERATIONS[name](bounds=None),
        params_algo={
            "stepsize": [0.3] * 3 if name == "ProximalMomentum" else [1e-3] * 3,
            "lambda": [30.0] * 3,
            "g_param": [WIDTH] * 3,
            "momentum": [0.5] * 3,
        },
        trainable_params=["stepsize", "lambda", "g_param", "momentum"],
        prior=prior,
        data_fidelity=L2(sigma=NOISE),
        max_iter=3,
        unfold=True,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        prior.reset()
        optimizer.zero_grad()
        loss = (model(y, physics) - x).square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        for key, values in model.params_algo.items():
            if isinstance(values, torch.nn.ParameterList) and key != "beta":
                # the first momentum acts on a solver at rest
                reached = [p for p in values if p.grad is not None and float(p.grad.abs()) > 0]
                assert len(reached) >= len(values) - (key == "momentum"), key
        assert all(p.grad is not None for p in unet.parameters())
        assert any(float(p.grad.abs().max()) > 0 for p in unet.parameters())
        optimizer.step()
    assert losses[-1] < losses[0]


def test_not_unfolded_it_keeps_no_graph(name, small):
    _, physics, y, unet = small
    unet.requires_grad_()
    out = build(name, unet, max_iter=2)(y.requires_grad_(), physics)
    assert not out.requires_grad
    assert all(p.grad is None for p in unet.parameters())


@pytest.mark.parametrize("jacobian_free", [True, False])
def test_as_a_deep_equilibrium_model_it_trains(name, small, jacobian_free):
    x, physics, y, unet = small
    unet.requires_grad_()
    model = BaseOptim(
        ITERATIONS[name](bounds=None),
        params_algo={"stepsize": [STEP[name] * 0.2], "lambda": [30.0], "g_param": [WIDTH], "momentum": [0.5]},
        trainable_params=["stepsize", "lambda"],
        prior=DAEPrior(unet, noise="fixed"),
        data_fidelity=L2(sigma=NOISE),
        max_iter=10,
        DEQ=dinv.optim.DEQConfig(jacobian_free=jacobian_free, max_iter_backward=5),
    )
    (model(y, physics) - x).square().mean().backward()
    assert all(float(p.grad.abs()) > 0 for p in [*model.params_algo["stepsize"], *model.params_algo["lambda"]])
    assert any(float(p.grad.abs().max()) > 0 for p in unet.parameters())
