r"""
Deblurring in one line
======================

A photograph is blurred by the shake of a hand and restored by :class:`daep_deepinv.DAEP`, which takes any deepinv
physics.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot, plot_curves

from daep_deepinv import DAEP, starting_point

device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 176))  # the test suite runs this example on fewer pixels

# %%
# A photograph and its measurement
# --------------------------------
# Images are ``(B, C, H, W)`` in [0, 1]. The blur is a ``"valid"`` convolution, so the measurement is smaller than the
# image, and nothing is assumed about what lies beyond its border. The noise is 1 % of white, as in the paper.

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
# That is all. The noise level is read from the physics, or said: ``DAEP(sigma=2.55 / 255)``. Ground truth is given here
# only to see the PSNR of the iterates.

model = DAEP(device=device)
x_hat, metrics = model(y, physics, x_gt=x, compute_metrics=True)

# %%
# The border of the image, half a kernel wide, was hardly seen through the blur; quality is measured without it.


def inner(image):
    return image[..., 12:-12, 12:-12]


metric = dinv.metric.PSNR()
psnr = {
    "blurred": metric(y, inner(x)).item(),
    "DAEP": metric(inner(x_hat), inner(x)).item(),
}
plot(
    {"original": inner(x), "blurred": y, "DAEP": inner(x_hat)},
    subtitles=["", f"{psnr['blurred']:.2f} dB", f"{psnr['DAEP']:.2f} dB"],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(9, 3.6),
)

# %%
# The kernel width of the prior falls from iteration to iteration: a wide kernel finds the right image, a narrow one its
# texture. So the PSNR rises mostly at the end.

plot_curves({name: metrics[name] for name in ("psnr", "residual")})

# %%
# The paper's own solver
# ----------------------
# ``preset="paper"`` is the solver and the kind of network of Bigdeli and Zwicker (2018): one kernel width, gradient
# descent with momentum, 300 evaluations. A few of them show where it starts and where it heads.

start = starting_point(y, physics)
early = DAEP(sigma, preset="paper", max_iter=30, device=device)(y, physics)
plot(
    {"start": inner(start), "paper's solver, 30 of 300": inner(early)},
    subtitles=[f"{metric(inner(image), inner(x)).item():.2f} dB" for image in (start, early)],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(6.6, 3.7),
    fontsize=14,
)
