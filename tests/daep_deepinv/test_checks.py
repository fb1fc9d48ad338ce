"""What is given to ``DAEP``: one form for all that is usable, one sentence for the rest."""

import deepinv as dinv
import pytest
import torch
from deepinv.physics import LinearPhysics, Physics
from deepinv.utils import TensorList

from daep_deepinv import DAEP, DivergenceError
from daep_deepinv.checks import check_result
from daep_deepinv.measurement import read_measurement
from daep_prior import schedules

SIZE = (3, 16, 18)
NOISE = 0.02
GAUSSIAN = dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0))


def blur(padding="circular", dtype=torch.float32):
    return dinv.physics.Blur(GAUSSIAN.to(dtype), padding)


def stacked():
    return dinv.physics.StackedLinearPhysics([blur(), dinv.physics.Denoising()])


def restored(denoiser, y, physics, **arguments):
    return DAEP(NOISE, preset="fast", denoiser=denoiser, max_iter=3)(y, physics, **arguments)


@pytest.fixture
def x(images):
    return images(2, *SIZE)


REFUSED = {
    "tensor for a stack": (lambda x: (x, stacked()), {}, "y: got one tensor; expected a .*TensorList of 2"),
    "list for one": (lambda x: (TensorList([x, x]), blur()), {}, "y: got a TensorList of 2 parts; Blur is no stacked"),
    "too many parts": (lambda x: (TensorList([x, x, x]), stacked()), {}, "y: got a TensorList of 3; .* of 2"),
    "unlike batches": (lambda x: (TensorList([x, x[:1]]), stacked()), {}, "y: its parts have 2, 1 images"),
    "pair of a loader": (lambda x: ([x, x], blur()), {}, "y: got a list of 2 tensors, as a DataLoader"),
    "empty batch": (lambda x: (x[:0], blur()), {}, r"y: got shape \(0, 3, 16, 18\), which contains no value"),
    "empty part": (lambda x: (TensorList([x, x[:0]]), stacked()), {}, "which contains no value"),
    "NaN in a part": (lambda x: (TensorList([x, x * torch.nan]), stacked()), {}, "y: .*NaN"),
    "no physics": (lambda x: (x, "blur"), {}, "physics: got str; expected a deepinv Physics"),
    "NaN in the start": (lambda x: (x, blur()), {"init": torch.full((2, *SIZE), torch.nan)}, "init: .*NaN"),
    "start of another batch": (lambda x: (x, blur()), {"init": torch.zeros(3, *SIZE)}, "y: got shape .* to "),
    "kernels for another batch": (
        lambda x: (x, dinv.physics.Blur(GAUSSIAN.repeat(3, 1, 1, 1), "circular")),
        {},
        "y: a measurement of shape .* does not fit this physics",
    ),
    "fewer channels than the mask": (
        lambda x: (x[:, :1], dinv.physics.Inpainting(SIZE, mask=0.5)),
        {},
        r"y: got shape \(2, 1, 16, 18\); this physics maps images of \(2, 3, 16, 18\) to \(2, 3, 16, 18\)",
    ),
    "fewer channels than the mask, and a start": (
        lambda x: (x[:, :1], dinv.physics.Inpainting(SIZE, mask=0.5)),
        {"init": torch.zeros(2, *SIZE)},
        r"y: got shape \(2, 1, 16, 18\); this physics maps",
    ),
    "fewer channels than a mask in a stack": (
        lambda x: (
            TensorList([x[:, :1], x[:, :1]]),
            dinv.physics.stack(dinv.physics.Inpainting(SIZE, mask=0.5), dinv.physics.Denoising()),
        ),
        {},
        r"y: got shape \(\(2, 1, 16, 18\), .* this physics maps",
    ),
    "masks for another batch": (
        lambda x: (x, dinv.physics.Inpainting(SIZE, mask=(torch.rand(3, *SIZE) > 0.5).float())),
        {},
        "y: a measurement of shape .* does not fit this physics",
    ),
    "truth of another size": (lambda x: (x, blur()), {"x_gt": torch.zeros(2, 3, 16, 17)}, "x_gt: got shape .*16, 18"),
    "truth of another batch": (lambda x: (x, blur()), {"x_gt": torch.zeros(1, *SIZE)}, "x_gt: got shape"),
    "truth as a number": (lambda x: (x, blur()), {"x_gt": 0.5}, "x_gt: got an object of type float"),
    "another device": (lambda x: (x, blur().to("meta")), {}, "y: it is on cpu, the physics on meta"),
    "no adjoint": (
        lambda x: (x.sum(3), LinearPhysics(A=lambda v, **_: v.sum(3))),
        {},
        r"physics: LinearPhysics has no A_adjoint, .* of shape \(2, 3, 16\): img_size must be set",
    ),
    "no derivative": (
        lambda x: (x, Physics(A=lambda v, **_: (4 * v).round() / 4)),
        {},
        r"physics: the derivative of Physics is zero at the first image; .* pass init=",
    ),
    "haze without depth": (lambda x: (x, dinv.physics.Haze()), {}, "physics: Haze has three unknowns"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_restored_is_refused_in_one_sentence(case, x, make_spy):
    make, arguments, message = REFUSED[case]
    y, physics = make(x)
    spy = make_spy()
    with pytest.raises(ValueError, match=message) as refusal:
        restored(spy, y, physics, **arguments)
    assert "\n" not in str(refusal.value)
    assert spy.evaluations == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {},
            r"Probably the noise is far above 0.02, in the units of y \(try DAEP\('estimate'\)\), or A_adjoint",
        ),
        ({"scale": 1, "bounds": (0, 1)}, "Probably scale or bounds do not fit .*, or the noise is far above 0.02"),
        ({"schedule": schedules.fast(NOISE), "preset": None}, "Lower the step or the prior weight of the schedule, or"),
    ],
)
def test_a_divergence_names_what_the_caller_can_change(x, make_spy, arguments, message):
    y = blur().A(x)
    plan = DAEP(NOISE, make_spy(), **{"preset": "fast", **arguments}).plan(y, blur())[0]
    near, far = torch.full((2,), 0.01), torch.tensor([0.01, 2.0])
    with pytest.raises(DivergenceError, match=f"image 7 is farther .* {message}") as refusal:
        check_result(near, far, x, plan, y, [3, 7])
    assert ("schedule" in arguments) == ("schedule" in str(refusal.value))


def test_a_wrong_scale_that_makes_a_preset_diverge_is_named(shipped):
    data = pytest.importorskip("skimage").data
    x = torch.from_numpy(data.camera()[150:214, 230:294] / 255).float()[None, None]
    physics = dinv.physics.Blur(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)), "circular")
    y = physics.A(x) + NOISE * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    model = DAEP(NOISE, shipped("dae"), scale=1, bounds=(0, 1))
    with (
        pytest.warns(UserWarning, match="bounds: the measurement shows values up to"),
        pytest.raises(DivergenceError, match="Probably scale or bounds do not fit"),
    ):
        model(3 * y, physics)


@pytest.mark.parametrize("sigma", ["estimate", None])
def test_a_measurement_of_another_shape_is_refused_whatever_its_noise(x, make_spy, sigma):
    spy, physics = make_spy(), dinv.physics.Inpainting(SIZE, mask=0.5)
    with pytest.raises(ValueError, match=r"y: got shape .* this physics maps"):
        DAEP(sigma, spy)(x[:, :1], physics)
    with pytest.raises(ValueError, match=r"y: got shape .* this physics maps"):
        DAEP(sigma, spy).plan(x[:, :1], physics)
    assert spy.evaluations == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("padding", ["circular", "valid", "reflect"])
def test_half_precision_is_computed_in_float32(dtype, padding, x, smoother):
    y = blur(padding).A(x)
    single = restored(smoother, y, blur(padding))
    half = restored(smoother, y.to(dtype), blur(padding, dtype))
    assert half.dtype == dtype
    assert (half.float() - single).abs().max() < 0.05


def test_the_users_physics_stays_in_half_precision(x, smoother):
    physics = blur(dtype=torch.bfloat16)
    restored(smoother, physics.A(x.bfloat16()), physics)
    assert physics.filter.dtype == torch.bfloat16


@pytest.mark.parametrize(("of_y", "of_physics"), [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_measurement_and_physics_may_differ_in_their_number_type(of_y, of_physics, x, smoother):
    y = blur().A(x)
    out = restored(smoother, y.to(of_y), blur(dtype=of_physics))
    assert out.dtype == of_y
    assert torch.allclose(out.float(), restored(smoother, y, blur()), atol=1e-4)


@pytest.mark.parametrize(
    "form", ["inference", "graph", "list of one", "start in double", "start as a tuple", "columns first in memory"]
)
def test_the_form_of_the_arguments_changes_nothing(form, x, smoother):
    y, init = blur().A(x), x.flip(0)
    expected = restored(smoother, y, blur(), init=init)
    if form == "inference":
        with torch.inference_mode():
            y = blur().A(x)
    elif form == "graph":
        y = y.clone().requires_grad_()
    elif form == "list of one":
        y = [y]
    elif "memory" in form:
        y = y.mT.contiguous().mT
        assert read_measurement(y, blur(), init).y.is_contiguous()
    else:
        init = init.double() if "double" in form else (init,)
    assert torch.allclose(restored(smoother, y, blur(), init=init), expected, atol=1e-6)


def test_a_list_is_a_measurement_of_a_stack(x, smoother):
    y = stacked().A(x)
    assert torch.equal(restored(smoother, list(y), stacked()), restored(smoother, y, stacked()))


class Visibilities(LinearPhysics):
    """Two thirds of the Fourier coefficients of a real image, as radio telescopes see it."""

    def __init__(self, real=True):
        super().__init__(noise_model=dinv.physics.GaussianNoise(NOISE))
        self.real = real

    def A(self, x, **kwargs):
        return torch.fft.fft2(x, norm="ortho") * (torch.arange(x.shape[-1]) % 3 < 2)

    def A_adjoint(self, y, **kwargs):
        image = torch.fft.ifft2(y * (torch.arange(y.shape[-1]) % 3 < 2), norm="ortho")
        return image.real if self.real else image


def test_a_complex_measurement_of_real_images_is_restored(shipped, photograph):
    x, physics = photograph[..., 20:68, 20:68], Visibilities()
    y = physics.A(x)
    y = y + NOISE * torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
    out = DAEP(NOISE, preset="fast", denoiser=shipped("dae"))(y, physics)
    assert out.dtype == torch.float32
    assert (out - x).square().mean() < 0.3 * (physics.A_adjoint(y) - x).square().mean()


def test_an_adjoint_to_complex_images_gives_complex_images_unless_the_start_is_real(x, smoother):
    y = Visibilities().A(x)
    out = restored(smoother, y, Visibilities(real=False))
    assert out.dtype == torch.complex64
    assert out.shape == x.shape
    assert out.imag.abs().mean() < 0.1
    real = restored(smoother, y, Visibilities(real=False), init=x)
    assert torch.allclose(real, restored(smoother, y, Visibilities(), init=x), atol=1e-5)


def test_a_given_start_and_truth_of_complex_images_are_complex(x, smoother):
    physics = Visibilities(real=False)
    asked = read_measurement(physics.A(x), physics, init=x + 0.5j, x_gt=x + 0j)
    assert asked.init.shape == asked.x_gt.shape == (2, 6, *SIZE[1:])
    assert torch.equal(asked.result(asked.init), x + 0.5j)
