r"""
Deblurring in one line
======================

A photograph is blurred by camera shake and restored by :class:`daep_deepinv.DAEP`, which takes any linear physics of
deepinv.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot, plot_curves

from daep_deepinv import DAEP, starting_point

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))

# %%
# A photograph and its measurement
# --------------------------------
# Images are ``(B, C, H, W)`` in [0, 1]. The blur is a ``"valid"`` convolution: the measurement is smaller than the
# image, and nothing is assumed about pixels outside the image. The noise level is 1 % of white, as in the paper.

photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 30 : 30 + size, 130 : 130 + size]

sigma = 2.55 / 255
shake = MotionBlurGenerator((25, 25), device=device).step(seed=2)["filter"]
physics = dinv.physics.Blur(
    filter=shake / shake.sum(),
    padding="valid",
    noise_model=dinv.physics.GaussianNoise(sigma, rng=torch.Generator(device).manual_seed(0)),
    device=device,
)
y = physics(x)
print(f"image {tuple(x.shape)}, measurement {tuple(y.shape)}")

# %%
# Restoration
# -----------
# The noise level is that of the physics. ``DAEP(sigma=2.55 / 255)`` gives it explicitly.

model = DAEP(device=device)
x_hat = model(y, physics)

# %%
# The plan of the restoration says what was understood and decided. ``model.plan(y, physics)`` returns it without
# restoring anything.

print(model.plans)

# %%
# The blur hardly measures the border of the image, half a kernel wide. The PSNR leaves it out.

metric = dinv.metric.PSNR()


def inner(image):
    return image[..., 12:-12, 12:-12]


psnr = {"blurred": metric(y, inner(x)).item(), "DAEP": metric(inner(x_hat), inner(x)).item()}
plot(
    {"original": inner(x), "blurred": y, "DAEP": inner(x_hat)},
    subtitles=["", f"{psnr['blurred']:.2f} dB", f"{psnr['DAEP']:.2f} dB"],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(9, 3.6),
)

# %%
# The solver of the paper
# -----------------------
# ``preset="paper"`` is the solver of Bigdeli and Zwicker (2018), with a network like theirs: one kernel width,
# gradient descent with momentum, 300 iterations. Here are the first 30. ``custom_metrics`` are computed in every
# iteration, as in deepinv's optimizers.


def psnr_inside(values, previous, current):
    return metric(inner(current[None]), inner(x)).item()


model = DAEP(sigma, preset="paper", max_iter=30, custom_metrics={"PSNR, dB": psnr_inside}, device=device)
early, metrics = model(y, physics, compute_metrics=True)
start = starting_point(y, physics)
plot(
    {"start": inner(start), "paper's solver, 30 of 300": inner(early)},
    subtitles=[f"{metric(inner(image), inner(x)).item():.2f} dB" for image in (start, early)],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(6.6, 3.7),
)
plot_curves({name: metrics[name] for name in ("PSNR, dB", "residual")})
