r"""
Use your own denoiser
=====================

The prior works with any differentiable denoiser. This example writes one without learned parameters: the cosine
transform of sliding windows, with a threshold.
"""

import math
import os

import deepinv as dinv
import skimage
import torch
import torch.nn.functional as F
from deepinv.models import Denoiser
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEP

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))

# %%
# The denoiser
# ------------
# A deepinv ``Denoiser`` is a module called as ``denoiser(x, sigma)`` with images ``(B, C, H, W)``. In a window of 8 x 8
# pixels natural images have few large cosine coefficients, and noise has many small ones. Coefficients below three
# standard deviations are set to zero. The overlapping windows are averaged.


class CosineDenoiser(Denoiser):
    def __init__(self, window=8):
        super().__init__()
        place = torch.arange(window) + 0.5
        basis = torch.stack([torch.cos(math.pi * k * place / window) for k in range(window)])
        basis = basis / basis.norm(dim=1, keepdim=True)
        self.window = window
        self.register_buffer("filters", torch.einsum("iy,jx->ijyx", basis, basis).reshape(-1, 1, window, window))

    def forward(self, x, sigma, **kwargs):
        channels = x.reshape(-1, 1, *x.shape[-2:])
        level = torch.as_tensor(sigma, device=x.device, dtype=x.dtype).reshape(-1, 1, 1, 1)
        level = level.expand(x.shape[0], x.shape[1], 1, 1).reshape(-1, 1, 1, 1)
        border = self.window - 1
        wide = F.pad(channels, (border,) * 4, mode="reflect")
        coefficients = F.conv2d(wide, self.filters)
        kept = coefficients * (coefficients.abs() > 3 * level)
        kept[:, 0] = coefficients[:, 0]  # the mean of the window
        clean = F.conv_transpose2d(kept, self.filters) / self.window**2
        return clean[..., border:-border, border:-border].reshape(x.shape)


# %%
# Restoration
# -----------
# ``DAEP(denoiser=...)`` uses it instead of the shipped network.

photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 50 : 50 + size, 150 : 150 + size]
sigma = 2.55 / 255
shake = MotionBlurGenerator((25, 25), device=device).step(seed=2)["filter"]
noise = dinv.physics.GaussianNoise(sigma, rng=torch.Generator(device).manual_seed(0))
physics = dinv.physics.BlurFFT((3, size, size), filter=shake / shake.sum(), noise_model=noise, device=device)
y = physics(x)

own = DAEP(denoiser=CosineDenoiser().to(device))(y, physics)
shipped = DAEP(device=device)(y, physics)

metric = dinv.metric.PSNR()
images = {"blurred": y, "cosine windows": own, "shipped network": shipped}
psnr = {name: metric(image, x).item() for name, image in images.items()}
plot(
    {"original": x, **images},
    subtitles=["", *(f"{value:.2f} dB" for value in psnr.values())],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(11, 3.4),
)

# %%
# Other denoisers
# ---------------
# * A denoiser of deepinv: ``DAEP(denoiser=dinv.models.DRUNet())``. deepinv downloads its weights.
# * A denoiser for one noise level: give it an attribute ``sigma``, a float, which is then the kernel width.
# * A denoiser without a gradient: ``DAEP(denoiser=..., jacobian=False)``, the form of Bigdeli, Jin, Favaro and Zwicker
#   (2017).
# * The architectures of this package, trained on your images: :ref:`sphx_glr_auto_examples_plot_training.py`.
