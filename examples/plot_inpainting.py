r"""
Inpainting a grey photograph
============================

70 % of the pixels are missing. The shipped networks are for colour images. ``DAEP`` repeats a grey image to three equal
channels.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.utils import plot

from daep_deepinv import DAEP, starting_point

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))

# %%
# A photograph with missing pixels
# --------------------------------

photograph = torch.from_numpy(skimage.data.camera())[None, None].to(device) / 255
x = photograph[..., 60 : 60 + size, 150 : 150 + size]
rng = torch.Generator(device).manual_seed(0)
physics = dinv.physics.Inpainting(img_size=(1, size, size), mask=0.3, device=device, rng=rng)
y = physics(x)

# %%
# Restoration
# -----------
# The solver starts from an interpolation of the known pixels. ``sigma=0`` means noise-free, so the known pixels keep
# their values.

start = starting_point(y, physics)
x_hat = DAEP(sigma=0, device=device)(y, physics)

metric = dinv.metric.PSNR()
psnr = {name: metric(image, x).item() for name, image in {"missing pixels": y, "start": start, "DAEP": x_hat}.items()}
plot(
    {"original": x, "30 % known": y, "start": start, "DAEP": x_hat},
    subtitles=["", *(f"{value:.2f} dB" for value in psnr.values())],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(11, 3.4),
)

# %%
# More iterations
# ---------------
# Large gaps need many iterations. ``max_iter`` stretches the schedule.

longer = DAEP(sigma=0, max_iter=60, device=device)(y, physics)
psnr["DAEP, 60 iterations"] = metric(longer, x).item()
for name, value in psnr.items():
    print(f"{name:20s} {value:.2f} dB")
