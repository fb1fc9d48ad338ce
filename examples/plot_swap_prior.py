r"""
Swap the prior of an existing deepinv script
============================================

A deepinv script restores images with a plug-and-play or RED prior. One line changes to use the denoising-autoencoder
prior:

.. code-block:: diff

    - prior = RED(denoiser)
    + prior = DAEPrior(denoiser)

Denoiser, physics, data term and solver stay the same. ``lambda_reg`` and ``g_param``, the noise level of the denoiser,
keep their meaning.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.optim import GD, L2, RED
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEDenoiser, DAEPrior

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 112))

# %%
# The script
# ----------
# Gradient descent with regularisation by denoising (RED) for a blurred photograph. Any deepinv denoiser can be used.
# This one comes with the package.

photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 50 : 50 + size, 150 : 150 + size]

sigma = 7.65 / 255
shake = MotionBlurGenerator((25, 25), device=device).step(seed=2)["filter"]
noise = dinv.physics.GaussianNoise(sigma, rng=torch.Generator(device).manual_seed(0))
physics = dinv.physics.BlurFFT((3, size, size), filter=shake / shake.sum(), noise_model=noise, device=device)
y = physics(x)

denoiser = DAEDenoiser("dae").to(device)
weight = 300.0


def restore(prior, width):
    """The script's solver; ``width`` is the noise level of the denoiser."""
    model = GD(
        prior=prior,
        data_fidelity=L2(sigma=sigma),
        lambda_reg=weight,
        g_param=width,
        stepsize=1 / (1 / sigma**2 + 2 * weight),
        max_iter=60,
    )
    with torch.no_grad():
        return model(y, physics).clamp(0, 1)


# %%
# The line that changes
# ---------------------
# RED evaluates the denoiser at the image itself. DAEP adds noise of level ``width`` to its input, and differentiates
# through it. Therefore a wider kernel does not smooth the image away. Each prior has the level that is best for it
# here.

red = restore(RED(denoiser), 10 / 255)
daep = restore(DAEPrior(denoiser), 25 / 255)

metric = dinv.metric.PSNR()
psnr = {name: metric(image, x).item() for name, image in {"blurred": y, "RED": red, "DAEP": daep}.items()}
plot(
    {"original": x, "blurred": y, "RED": red, "DAEP": daep},
    subtitles=["", *(f"{value:.2f} dB" for value in psnr.values())],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(11, 3.4),
)

# %%
# A faster solver
# ---------------
# ``DAEP(sigma)(y, physics)`` has a solver and a schedule for this prior, which are faster than gradient descent with
# fixed parameters: :ref:`sphx_glr_auto_examples_plot_deblurring.py`.
