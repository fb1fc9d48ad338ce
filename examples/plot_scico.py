r"""
The prior in scico
==================

The prior for scico, on JAX arrays. :class:`daep_scico.DAEPrior` is a ``Functional`` with value, gradient and proximal
step, :func:`daep_scico.restore` a solver in one line. JAX and PyTorch exchange arrays without a copy. Installation:
``pip install "daep-prior[scico]"``.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import scico
import scico.numpy as snp
import skimage
from scico import linop, loss, optimize

from daep_scico import DAEPrior, restore

# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))

# %%
# A photograph and its measurement
# --------------------------------
# Images are ``(H, W, C)`` in [0, 1]. The blur is circular, as in scico's ``CircularConvolve``.

x = snp.array(skimage.data.astronaut()[30 : 30 + size, 160 : 160 + size].astype("float32") / 255)
margin, sigma = 4, 2.55 / 255
profile = np.exp(-0.5 * (np.arange(-margin, margin + 1) / 1.6) ** 2)
kernel = (np.outer(profile, profile) / profile.sum() ** 2).astype("float32")
A = linop.CircularConvolve(snp.array(kernel[..., None]), x.shape, h_center=(margin, margin, 0))
y = A(x) + sigma * np.random.default_rng(0).standard_normal(x.shape, dtype="float32")

# %%
# One line
# --------
# The default preset of :class:`daep_deepinv.DAEP` for any scico ``LinearOperator``. ``preset=`` chooses another preset.
# ``data=`` replaces least squares by any ``Functional`` with a proximal step.

x_hat = restore(A, y, sigma)

# %%
# A solver of scico
# -----------------
# ADMM uses the proximal step of the prior (here two gradient steps) and solves the data term in closed form. The prior
# weight is that of the paper, ``2 * 6.875 / s**2`` for the kernel width ``s``.

width = 15 / 255
weight = 2 * 6.875 / width**2
prior = DAEPrior(sigma=width, prox_iterations=2)
admm = optimize.ADMM(
    f=loss.SquaredL2Loss(y, A, scale=1 / (2 * sigma**2)),
    g_list=[weight * prior],
    C_list=[linop.Identity(x.shape)],
    rho_list=[weight],
    x0=y,
    maxiter=15,
    subproblem_solver=optimize.admm.CircularConvolveSolver(),
).solve()

# %%
# The prior is a differentiable function of JAX. ``scico.grad(prior)`` and ``jax.jit`` work.

slope = scico.grad(prior)(y)
print(f"energy: measurement {float(prior(y)):.2f}, photograph {float(prior(x)):.2f}")
print(f"norm of the gradient at the measurement: {float(snp.linalg.norm(slope)):.2f}")

# %%

images = {"original": x, "blurred": y, "ADMM, one width": admm, "restore": x_hat}
pixels = {name: np.array(image).clip(0, 1) for name, image in images.items()}
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
