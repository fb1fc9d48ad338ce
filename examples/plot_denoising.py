r"""
Denoising, and the energy of an image
=====================================

The prior is an energy: one number for each image, small for natural images. Noise raises it, and restoration lowers it.
Plug-and-play methods have no such number.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.utils import plot

from daep_deepinv import DAEP, DAEPrior

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))

# %%
# A noisy photograph
# ------------------

photograph = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 100 : 100 + size, 220 : 220 + size]
sigma = 25 / 255
noise = dinv.physics.GaussianNoise(sigma, rng=torch.Generator(device).manual_seed(0))
physics = dinv.physics.Denoising(noise, device=device)
y = physics(x)

# %%
# Denoising
# ---------
# The network was trained for this problem. One evaluation, which is one mean-shift step, gives the posterior mean. For
# :class:`deepinv.physics.Denoising`, ``DAEP`` takes just this step.

prior = DAEPrior("dae")
prior.to(device)
with torch.no_grad():
    network = prior.denoiser(y, sigma).clamp(0, 1)
x_hat = DAEP(device=device)(y, physics)

metric = dinv.metric.PSNR()
psnr = {name: metric(image, x).item() for name, image in {"noisy": y, "network": network, "DAEP": x_hat}.items()}
plot(
    {"original": x, "noisy": y, "network alone": network, "DAEP": x_hat},
    subtitles=["", *(f"{value:.2f} dB" for value in psnr.values())],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(11, 3.4),
)

# %%
# The energy of an image
# ----------------------
# ``prior(x, s)`` is :math:`R_s(x) = \tfrac12 \|A_s(x - \epsilon) - x\|^2` for the kernel width :math:`s`, one number an
# image. The noise :math:`\epsilon` is always the same, so images can be compared. With :math:`n` values in the image,
# :math:`\sqrt{2 R_s(x) / n}` is the root mean square of the change that the network makes, in grey levels.

width = 15 / 255
images = {"original": x, "noisy": y, "network": network, "DAEP": x_hat, "white noise": torch.rand_like(x)}
with torch.no_grad():
    moves = {name: (2 * prior(image, width) / x[0].numel()).sqrt().item() for name, image in images.items()}
for name, move in moves.items():
    print(f"{name:12s} {255 * move:6.2f} grey levels")
