r"""
The prior in pyproximal
=======================

The same prior for a pipeline of PyLops operators and pyproximal solvers, on NumPy arrays:
:class:`daep_pyproximal.DAEPrior` is a ``ProxOperator``, :func:`daep_pyproximal.restore` a solver in one line. Install
it with ``pip install "daep-prior[pyproximal]"``.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import pylops
import pyproximal
import skimage

from daep_pyproximal import DAEPrior, restore

size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))  # the test suite runs this example on fewer pixels

# %%
# A photograph and its measurement
# --------------------------------
# An image is ``(C, H, W)`` in [0, 1], and a flattened vector for the operators. The blur is known inside the image
# only: ``Pad`` transposed cuts off the border, where PyLops would take the surroundings for black.

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
# The annealed solver of :class:`daep_deepinv.DAEP`, with pyproximal's proximal step of the data term. ``data=`` takes
# another data term than least squares, any ``ProxOperator``.

x_hat = restore(Op, y, sigma)

# %%
# pyproximal's own solver
# -----------------------
# The prior has a gradient, so it is the smooth function of ``ProximalGradient``, and the data term the one with a
# proximal step: FISTA at one kernel width ``s``. ``epsg`` is one over the weight of the prior, the paper's
# ``2 * 6.875 / s**2``. Only fixed noise makes the prior a function in the strict sense; fresh noise, the default,
# restores better.

width = 15 / 255
data = pyproximal.L2(Op, y, sigma=1 / sigma**2, niter=30, solver="cg")
start = np.pad(y.reshape(inner), border, mode="edge").ravel()
fista = pyproximal.optimization.primal.ProximalGradient(
    DAEPrior(x.shape, sigma=width), data, start, epsg=width**2 / (2 * 6.875), tau=0.5, niter=30, acceleration="fista"
)

# %%


def measured(image):
    """The part of an image that the measurement shows, (H, W, C) in [0, 1]."""
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
