r"""
Denoising, and what the energy says
===================================

The prior is an energy: a number for every image, small for natural ones. Noise raises it, and restoration lowers it
again. Plug-and-play methods have no such number.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.utils import plot

from daep_deepinv import DAEP, DAEPrior

device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))  # the test suite runs this example on fewer pixels

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
# The network was trained for this problem and solves it in one evaluation: one step along the mean shift. ``DAEP``
# knows that, and takes just this step when the physics is :class:`deepinv.physics.Denoising`.

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
# ``prior(x, s)`` is :math:`R_s(x) = \tfrac12 \|A_s(x - \epsilon) - x\|^2`, one number an image, at the kernel width
# :math:`s` and always at the same noise :math:`\epsilon`, so that images can be compared. Here it is divided by the
# number of values, and its root taken: how far, in grey levels, the network would move a pixel.

width = 15 / 255
images = {"original": x, "noisy": y, "network": network, "DAEP": x_hat, "white noise": torch.rand_like(x)}
with torch.no_grad():
    moves = {name: (2 * prior(image, width) / x[0].numel()).sqrt().item() for name, image in images.items()}
for name, move in moves.items():
    print(f"{name:12s} {255 * move:6.2f} grey levels")
