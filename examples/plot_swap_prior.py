r"""
Swap the prior of an existing deepinv script
============================================

You have a deepinv script that restores images with a plug-and-play or RED prior. Trying the denoising-autoencoder
prior in it is a change of one line:

.. code-block:: diff

    - prior = RED(denoiser)
    + prior = DAEPrior(denoiser)

The denoiser, the physics, the data term and the solver stay as they are. So does the meaning of ``lambda_reg`` and of
``g_param``, the noise level that the denoiser is told.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.optim import GD, L2, RED
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEDenoiser, DAEPrior

device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 112))  # the test suite runs this example on fewer pixels

# %%
# The script as it was
# --------------------
# A blurred photograph, gradient descent, regularisation by denoising (RED). Any deepinv denoiser would do; this one
# comes with the package, and nothing has to be downloaded.

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
    """The script's solver; ``width`` is the noise level that the denoiser is told."""
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
# RED shows the denoiser the image as it is. DAEP adds the noise that the denoiser was made for, and differentiates
# through it. So a wider kernel does not smooth the image away, and reaches further: each prior runs at the level that
# suits it here.

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
# Further
# -------
# Gradient descent with fixed parameters is not the fastest way. ``DAEP(sigma)(y, physics)`` brings a solver and a
# schedule that suit the prior; :ref:`sphx_glr_auto_examples_plot_deblurring.py` shows it.
