r"""
Super-resolution
================

A photograph is reduced by a factor of 3 and restored. The reduction is MATLAB's antialiased bicubic ``imresize``, as
in the paper and in most published results.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.utils import plot

from daep_deepinv import DAEP, BicubicDownsampling, degradation

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 192))
factor = 3

# %%
# A small photograph
# ------------------
# :class:`daep_deepinv.BicubicDownsampling` is deepinv's ``DownsamplingMatlab`` with a known singular value
# decomposition. The proximal step of the data term is therefore exact and fast.

photograph = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 60 : 60 + size, 130 : 130 + size]
physics = BicubicDownsampling((3, size, size), factor, device=device)
y = physics(x)
print(f"image {tuple(x.shape)}, measurement {tuple(y.shape)}")

# %%
# Restoration
# -----------
# ``sigma=0`` means noise-free. The result then agrees with the measurement, and the prior supplies the missing detail.

x_hat = DAEP(sigma=0, device=device)(y, physics)
bicubic = torch.nn.functional.interpolate(y, scale_factor=factor, mode="bicubic", align_corners=False).clamp(0, 1)

metric = dinv.metric.PSNR()
psnr = {"bicubic": metric(bicubic, x).item(), "DAEP": metric(x_hat, x).item()}
plot(
    {"original": x, "bicubic": bicubic, "DAEP": x_hat},
    subtitles=["", f"{psnr['bicubic']:.2f} dB", f"{psnr['DAEP']:.2f} dB"],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(9, 3.6),
)

# %%
# The reduced result is the measurement, up to less than a grey level:

difference = (physics.A(x_hat) - y).abs().mean().item()
print(f"mean difference to the measurement: {255 * difference:.2f} of 255")

# %%
# Other operators
# ---------------
# :func:`daep_deepinv.degradation` adds a blur before the reduction, or uses plain subsampling. deepinv's
# :class:`deepinv.physics.Downsampling` works too.

decimation = degradation(factor=2, downsampling="decimate", img_size=(3, size, size), device=device)
print(decimation)
