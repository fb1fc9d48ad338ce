"""``compare``: every method is judged in the same way, its evaluations are counted, and a failure stops no other."""

import csv
import io
import warnings

import deepinv as dinv
import pytest
import torch
from deepinv.models import Reconstructor

from daep_compare import COLUMNS, compare, known_methods, usual_methods
from daep_compare.figures import convergence, interesting_crop, pictures
from daep_compare.peers import DOWNLOADING
from daep_deepinv import DAEP, degradation

NOISE = 0.02


class Fixed(Reconstructor):
    """Returns a given image."""

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, y, physics, **kwargs):
        return self.image


class Broken(Reconstructor):
    def forward(self, y, physics, **kwargs):
        raise RuntimeError("no such\nluck")


@pytest.fixture
def clean(images):
    return images(1, 3, 24, 28)


@pytest.fixture
def physics():
    return degradation(torch.ones(3, 5), sigma=NOISE)


def test_network_methods_are_counted_and_traced(clean, physics, unet):
    found = compare(clean, physics, ["daep-annealed", "pnp-hqs", "gs-pnp", "tv"], denoiser=unet)
    by_name = {result.method: result for result in found.results}
    assert not any(result.remark for result in found.results)
    hqs, ours = by_name["pnp-hqs"], by_name["daep-annealed"]
    assert (hqs.evaluations, hqs.jacobian_products) == (8, 0)
    assert [step.evaluations for step in hqs.path] == list(range(1, 9))
    assert by_name["gs-pnp"].evaluations == by_name["gs-pnp"].jacobian_products == 30
    assert 0 < ours.jacobian_products <= ours.evaluations  # some iterations need no Jacobian
    assert ours.evaluations in (len(ours.path), len(ours.path) + 1)  # plus a last denoising
    assert by_name["tv"].evaluations == 0 and by_name["tv"].path
    assert all(0 < step.seconds <= result.seconds for result in found.results for step in result.path)
    assert hqs.path[-1].psnr == pytest.approx(hqs.psnr, abs=0.1)  # of the image before it is rounded


def test_a_result_equals_that_of_the_method_alone(clean, physics, unet):
    found = compare(clean, physics, ["daep-annealed"], denoiser=unet, seed=3)
    alone = DAEP(denoiser=unet, seed=3)(found.measurement, physics)
    torch.testing.assert_close(found.results[0].image, (alone * 255).round() / 255)


def test_only_the_measured_part_is_judged(clean, physics, unet):
    right_inside = torch.zeros_like(clean)
    right_inside[..., 1:-1, 2:-2] = clean[..., 1:-1, 2:-2]
    wrong_inside = clean.clone()
    wrong_inside[..., 2, 3] = 1 - clean[..., 2, 3]
    added = {"right": Fixed(right_inside), "wrong": Fixed(wrong_inside)}
    right, wrong = compare(clean, physics, [], added=added, denoiser=unet).results
    assert right.psnr > 50 > 40 > wrong.psnr  # rounding to 8 bits alone costs 59 dB
    assert right.ssim > 0.999


def test_a_failing_method_is_a_row_that_says_why_and_the_others_continue(clean, physics, unet):
    added = {
        "broken": Broken(),
        "small": Fixed(clean[..., :5, :5]),
        "not finite": Fixed(clean / 0),
        "fine": Fixed(clean),
    }
    found = compare(clean, physics, ["richardson-lucy"], added=added, denoiser=unet)
    remarks = [result.remark for result in found.results]
    assert remarks[0] == remarks[4] == ""
    assert remarks[1] == "RuntimeError: no such luck"
    assert "(1, 3, 5, 5)" in remarks[2] and "not finite" in remarks[3]
    assert [result.image is None for result in found.results] == [False, True, True, True, False]
    rows = list(csv.DictReader(io.StringIO(str(found))))
    assert tuple(rows[0]) == COLUMNS and rows[1]["psnr"] == "" and rows[4]["remark"] == ""
    pictures(found), convergence(found)


def test_methods_that_use_a_wrong_adjoint_say_so(clean, unet):
    # deepinv's adjoint of a kernel with a side of one pixel is wrong under this padding
    physics = dinv.physics.Blur(torch.ones(1, 1, 1, 6) / 6, "replicate", noise_model=dinv.physics.GaussianNoise(NOISE))
    with pytest.warns(UserWarning, match="is not the adjoint of A"):
        found = compare(clean, physics, ["daep-fast", "pnp-hqs"], denoiser=unet, added={"fixed": Fixed(clean)})
    ours, *others = found.results
    assert ours.remark == "" and ours.psnr is not None
    assert [other.remark for other in others] == ["used A_adjoint of Blur, which is not its adjoint"] * 2


def test_the_same_seed_gives_the_same_measurement_and_keeps_the_users_random_state(clean, unet):
    state = torch.get_rng_state()
    first, same, other = (
        compare(clean, degradation(sigma=0.1), [], denoiser=unet, seed=seed).measurement for seed in (1, 1, 2)
    )
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_usual_methods_fit_the_task_and_download_nothing():
    blur, enlarge = degradation(torch.ones(3, 3)), degradation(factor=2, img_size=(3, 8, 8))
    assert "daep-paper" in usual_methods(blur, 0.01) and "daep-paper-sr" not in usual_methods(blur, 0.01)
    assert "daep-paper-sr" in usual_methods(enlarge, 0) and "daep-paper" not in usual_methods(enlarge, 0)
    assert "richardson-lucy" in usual_methods(blur, 0) and "richardson-lucy" not in usual_methods(enlarge, 0)
    for physics in (blur, enlarge):
        assert not set(usual_methods(physics, 0.01)) & set(DOWNLOADING)
        assert set(usual_methods(physics, 0.01)) < set(known_methods())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.rand(2, 3, 8, 8)}, r"x: got shape \(2, 3, 8, 8\)"),
        ({"x": 300 * torch.ones(1, 3, 8, 8)}, "x: got values outside"),
        ({"x": torch.full((1, 3, 8, 8), float("nan"))}, "x: got values outside"),
        ({"methods": ["magic"]}, "methods: got 'magic'"),
        ({"methods": ["tv"], "added": {"tv": Broken()}}, "added: 'tv' is the name"),
        ({"added": {"mine": lambda y, physics: y}}, "added: 'mine' is of type function"),
        ({"physics": None}, "physics: got NoneType"),
        ({"sigma": -1}, "sigma: got -1"),
        ({"sigma": "low"}, "sigma: got 'low'"),
        ({"seed": 0.5}, "seed: got 0.5"),
        ({"lpips": "no"}, "lpips: got 'no'"),
        *(
            ({"physics": dinv.physics.Denoising(model)}, "sigma: got None, and .* states no")
            for model in (
                dinv.physics.PoissonNoise(0.1),
                dinv.physics.PoissonGaussianNoise(0.1, 0.1),
                dinv.physics.SaltPepperNoise(0.1, 0.1),
            )
        ),
    ],
)
def test_bad_input_is_one_error_before_any_work(change, message, unet, make_spy):
    spy = make_spy()
    arguments = {"x": torch.rand(1, 3, 8, 8), "physics": degradation(sigma=0.1), "denoiser": spy, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        compare(arguments.pop("x"), arguments.pop("physics"), **arguments)
    assert spy.evaluations == 0


def test_the_crop_is_where_the_methods_differ(clean, physics, unet):
    other = clean.clone()
    other[..., 12:18, 15:21] = 1 - other[..., 12:18, 15:21]
    found = compare(clean, physics, [], added={"a": Fixed(clean), "b": Fixed(other)}, denoiser=unet)
    assert interesting_crop(found, 6) == (12 - 1, 15 - 2)  # a row and two columns are not measured


@pytest.mark.parametrize("channels", [1, 3])
def test_figures_name_every_method_and_cut_no_text(channels, clean, unet):
    x = clean[:, :channels]
    found = compare(x, degradation(sigma=0.1), ["pnp-hqs", "wiener"], added={"mine": Fixed(x)}, denoiser=unet)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns when a layout does not fit
        for figure in (pictures(found), convergence(found)):
            figure.canvas.draw()
            words = [t.get_text() for axes in figure.axes for t in (axes.title, *axes.texts)]
            words += [t.get_text() for legend in figure.legends for t in legend.get_texts()]
            for name in ("pnp-hqs", "wiener", "mine"):
                assert any(name in word for word in words)
            width, height = figure.canvas.get_width_height()
            for axes in figure.axes:
                box = axes.get_tightbbox()
                assert box is None or (box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1)


def test_lpips_is_left_out_unless_asked_for_or_downloaded(clean, unet, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    found = compare(clean, degradation(sigma=0.1), ["wiener"], denoiser=unet)
    assert found.results[0].lpips is None and found.results[0].row()["lpips"] == ""


@pytest.mark.parametrize("model", [dinv.physics.GaussianNoise(0.1), dinv.physics.UniformNoise(0.1 * 3**0.5)])
def test_the_peers_assume_the_white_noise_that_the_physics_states(clean, model, unet):
    physics = dinv.physics.Denoising(model)
    stated = compare(clean, physics, ["pnp-hqs"], denoiser=unet).results[0]
    given = compare(clean, physics, ["pnp-hqs"], denoiser=unet, sigma=0.1).results[0]
    assert torch.allclose(stated.image, given.image, atol=1e-6)
