r"""
The prior in pyproximal
=======================

The prior for PyLops operators and pyproximal solvers, on NumPy arrays. :class:`daep_pyproximal.DAEPrior` is a
``ProxOperator``, :func:`daep_pyproximal.restore` a solver in one line. Installation:
``pip install "daep-prior[pyproximal]"``.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import pylops
import pyproximal
import skimage

from daep_pyproximal import DAEPrior, restore

# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))

# %%
# A photograph and its measurement
# --------------------------------
# An image is ``(C, H, W)`` in [0, 1]. The operators take it as a flattened vector. PyLops treats pixels outside the
# image as black, so the transpose of ``Pad`` cuts off the border.

x = np.ascontiguousarray(skimage.data.astronaut()[30 : 30 + size, 160 : 160 + size].transpose(2, 0, 1)) / 255
margin, sigma = 4, 2.55 / 255
profile = np.exp(-0.5 * (np.arange(-margin, margin + 1) / 1.6) ** 2)
kernel = np.outer(profile, profile) / profile.sum() ** 2

blur = pylops.signalprocessing.Convolve2D(x.shape, kernel, offset=(margin, margin), axes=(-2, -1))
border = ((0, 0), (margin, margin), (margin, margin))
inner = (3, size - 2 * margin, size - 2 * margin)
Op = pylops.Pad(inner, border).H @ blur
y = Op @ x.ravel() + sigma * np.random.default_rng(0).standard_normal(Op.shape[0])

# %%
# One line
# --------
# The default preset of :class:`daep_deepinv.DAEP`, with pyproximal's proximal step of the data term. ``preset=``
# chooses another preset. ``data=`` replaces least squares by any ``ProxOperator``.

x_hat = restore(Op, y, sigma)

# %%
# A solver of pyproximal
# ----------------------
# ``ProximalGradient`` is FISTA here, with one kernel width ``s``. The prior is its smooth function, the data term the
# one with a proximal step. ``epsg`` is ``1 / weight`` for the prior weight of the paper, ``2 * 6.875 / s**2``. With new
# noise at each gradient, the default, the prior is no function in the strict sense, but restores better than with
# ``noise="fixed"``.

width = 15 / 255
data = pyproximal.L2(Op, y, sigma=1 / sigma**2, niter=30, solver="cg")
start = np.pad(y.reshape(inner), border, mode="edge").ravel()
fista = pyproximal.optimization.primal.ProximalGradient(
    DAEPrior(x.shape, sigma=width), data, start, epsg=width**2 / (2 * 6.875), tau=0.5, niter=30, acceleration="fista"
)

# %%


def measured(image):
    """The measured part of an image, (H, W, C) in [0, 1]."""
    return image.reshape(x.shape)[:, margin:-margin, margin:-margin].transpose(1, 2, 0).clip(0, 1)


images = {"original": x, "blurred": start, "FISTA, one width": fista, "restore": x_hat}
pixels = {name: measured(image) for name, image in images.items()}
psnr = {
    name: skimage.metrics.peak_signal_noise_ratio(pixels["original"], image)
    for name, image in pixels.items()
    if name != "original"
}
figure, axes = plt.subplots(1, 4, figsize=(12, 3.6))
for axis, (name, image) in zip(axes, pixels.items(), strict=True):
    axis.imshow(image)
    axis.set_title(f"{name}\n{psnr[name]:.2f} dB" if name in psnr else name)
    axis.axis("off")
plt.show()
