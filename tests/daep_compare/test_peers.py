"""The methods of comparison: they restore, keep no state, and are the methods that their names say."""

import deepinv as dinv
import pytest
import torch
from deepinv.models import Reconstructor
from deepinv.optim import DPIR

from daep_compare.peers import DOWNLOADING, NETWORK_PEERS, PEERS, Peer, Settings, task
from daep_compare.peers.tuned_settings import ITERATIONS, tables, tuned
from daep_deepinv import BicubicDownsampling, DAEDenoiser, degradation, starting_point

SIZE = (3, 32, 32)
NOISE = 2.55 / 255


@pytest.fixture(scope="module")
def network():
    return DAEDenoiser("dae")


@pytest.fixture(scope="module")
def scene():
    """Two images with edges and slopes, which suit every prior here."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    disc = ((rows - 0.5).square() + (columns - 0.5).square() < 0.08).float()
    first = torch.stack([0.2 + 0.6 * disc, 0.3 + 0.4 * rows, 0.7 - 0.5 * disc])
    return torch.stack([first, first.flip(0).transpose(1, 2)]).contiguous()


@pytest.fixture(scope="module")
def blurred(scene):
    physics = degradation(torch.ones(1, 7))
    y = physics.A(scene)
    return y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)), physics


def needs(name):
    if name == "wavelets":
        pytest.importorskip("ptwt")


def error(x, scene):
    return float((x[..., 3:-3] - scene[..., 3:-3]).square().mean())


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_restores_a_blurred_image_and_keeps_no_state(name, network, scene, blurred):
    y, physics = blurred
    needs(name)
    model = Peer(name, NOISE, network)
    assert isinstance(model, Reconstructor)
    restored = model(y, physics)
    assert restored.shape == scene.shape
    assert error(restored, scene) < 0.8 * error(starting_point(y, physics), scene)
    model(y.flip(-1), physics)
    torch.testing.assert_close(model(y, physics), restored, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in PEERS if name != "richardson-lucy"])
@pytest.mark.parametrize("kind", ["super-resolution", "inpainting", "denoising"])
def test_every_peer_does_the_other_tasks(name, kind, network, scene):
    needs(name)
    physics = {
        "super-resolution": BicubicDownsampling(SIZE, 2),
        "inpainting": dinv.physics.Inpainting(SIZE, mask=0.5, rng=torch.Generator().manual_seed(0)),
        "denoising": degradation(sigma=0.1),
    }[kind]
    assert task(physics) == kind
    y = physics.A(scene[:1])
    sigma = 0.1 if kind == "denoising" else 0.0
    y = y + sigma * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    restored = Peer(name, sigma, network)(y, physics)
    assert restored.shape == scene[:1].shape
    assert float((restored - scene[:1]).square().mean()) < 0.02


@pytest.mark.parametrize("name", NETWORK_PEERS)
def test_the_network_is_the_one_given_and_evaluated_as_often_as_stated(name, make_spy, blurred):
    y, physics = blurred
    spy = make_spy()
    Peer(name, NOISE, spy)(y, physics)
    # DMSP denoises its mean once at the end
    assert spy.evaluations == ITERATIONS[name] + (name == "dmsp")


def test_pnp_hqs_with_the_published_parameters_is_deepinvs_dpir(make_smoother, scene):
    network = make_smoother("unet")  # in float32: two roundings of one level would already differ in bf16
    kernel = torch.ones(3, 3) / 9
    physics = degradation(kernel, padding="circular", img_size=SIZE)
    y = physics.A(scene)
    ours = Peer("pnp-hqs", NOISE, network, parameters=Settings(49, 1, 0.23))(y, physics)
    theirs = DPIR(sigma=NOISE, denoiser=network)(y, physics, init=starting_point(y, physics))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_wiener_minimises_its_objective(scene):
    physics = degradation(torch.ones(1, 7))
    y, weight = physics.A(scene), 0.05
    x = Peer("wiener", 0.02, parameters=weight)(y, physics).requires_grad_()
    differences = (x.diff(dim=2).square().sum(), x.diff(dim=3).square().sum())
    objective = (physics.A(x) - y).square().sum() / 2 + weight / 2 * sum(differences)
    (gradient,) = torch.autograd.grad(objective, x)
    assert float(gradient.abs().max()) < 1e-3


@pytest.mark.parametrize("name", PEERS)
def test_parameters_are_those_of_the_table_at_tuned_levels_and_lie_between_them_elsewhere(name):
    for kind, table in tables()[name].items():
        for noise, row in table.items():
            assert tuned(name, float(noise) / 255, kind) == pytest.approx(row)
    table = tables()[name]["deblurring"]
    for field, low in table["2.55"].items():
        high = table["7.65"][field]
        between = tuned(name, 5 / 255, "deblurring")[field]
        assert min(low, high) <= between * 1.0001 and between <= max(low, high) * 1.0001
        assert tuned(name, 0, "deblurring")[field] == pytest.approx(low)
        assert tuned(name, 50 / 255, "deblurring")[field] == pytest.approx(table["12.75"][field])


def test_every_peer_has_parameters_for_every_task():
    tasks = ("deblurring", "super-resolution", "inpainting", "denoising")
    assert {name: tuple(table) for name, table in tables().items()} == {
        name: tasks[:1] if name == "richardson-lucy" else tasks for name in PEERS
    }


def test_an_unknown_physics_is_treated_as_a_blur():
    class UserWritten(dinv.physics.LinearPhysics):
        pass

    assert task(UserWritten()) == "deblurring"
    assert task(dinv.physics.Downsampling(SIZE, "bicubic", 2)) == "super-resolution"
    assert task(dinv.physics.DownsamplingMatlab(factor=2)) == "super-resolution"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("nothing", 0.1), {}, "name: got 'nothing'"),
        (("red", 0.1), {}, "denoiser: got None; expected a network"),
        (("tv", -1.0), {}, "sigma: got -1.0"),
    ],
)
def test_bad_arguments_are_refused_when_the_peer_is_made(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Peer(*arguments, **options)


@pytest.mark.parametrize(("name", "parameters"), [("tv", Settings(1, 1, 1)), ("red", 0.5)])
def test_parameters_of_the_wrong_kind_are_refused(name, parameters, network, blurred):
    with pytest.raises(ValueError, match="parameters: got"):
        Peer(name, NOISE, network, parameters=parameters)(*blurred)


def test_richardson_lucy_refuses_other_physics_than_a_blur(scene):
    physics = degradation(sigma=0.1)
    for parameters in (None, 5.0):
        with pytest.raises(ValueError, match="richardson-lucy is for blurred images only"):
            Peer("richardson-lucy", 0.1, parameters=parameters)(scene, physics)


def test_no_peer_of_the_default_set_downloads():
    assert not set(PEERS) & set(DOWNLOADING)
