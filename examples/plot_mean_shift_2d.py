r"""
The mean shift in two dimensions
================================

A denoising autoencoder (DAE) :math:`A_s` is trained to remove Gaussian noise of standard deviation :math:`s`. Its
residual is the *mean-shift vector*,

.. math::

    A_s(x) - x = s^2 \, \nabla \log \, (g_{s^2} * p)(x),

the gradient of the log-density of the data, smoothed by the noise (Theorem 1 and eq. 6 of Bigdeli and Zwicker, *Image
Restoration using Autoencoding Priors*). In the plane it can be drawn, as in the paper's Figure 2.

The density, its exact DAE and the small network are in :download:`spiral.py <../../benchmarks/spiral.py>`, which the
benchmark of that figure uses too.
"""

import math
import os
import sys

import matplotlib.pyplot as plt
import torch

from daep_prior import NoiseSource, energy_gradient, mean_shift

sys.path += ["benchmarks", "../benchmarks"]  # as seen from the repository's root and from examples/
from spiral import Spiral, plane, stochastic_field, train

# the test suite runs this example on a smaller problem
quick = "DAEP_EXAMPLE_SIZE" in os.environ

# %%
# A density, and the density of noisy points
# ------------------------------------------
# The points lie along a spiral. If Gaussian noise is added to them, their density is smoothed by the same Gaussian. A
# wide kernel merges structures that are close together: the arms of the spiral begin to touch.

sigma = 0.05
spiral = Spiral()
side, extent = 200, 1.15
pixels = plane(side, extent)


def show_density(axes, width, title):
    density = spiral.log_density(pixels, width).exp().reshape(side, side)
    axes.imshow(density, origin="lower", extent=(-extent, extent) * 2, cmap="Blues")
    axes.set(title=title, xticks=(-1, 0, 1), yticks=(-1, 0, 1))


figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
show_density(axes[0], 0.0, "density $p$")
show_density(axes[1], sigma, f"smoothed, $s$ = {sigma}")
show_density(axes[2], math.sqrt(2) * sigma, rf"smoothed, $\sqrt{{2}}\,s$ = {math.sqrt(2) * sigma:.2f}")

# %%
# The mean-shift field: exact, learned, and by eq. 8
# --------------------------------------------------
# For this density the optimal DAE is known in closed form. A network with nine thousand parameters learns it from noisy
# points in a few seconds. The third field is the paper's eq. 8: noise is added to the input of the network, and its
# outputs are averaged,
#
# .. math::
#
#     A_{\sqrt2 s}(x) - x \approx 2 \left( \mathbb E_{\epsilon} \, A_s(x - \epsilon) - x \right),
#     \qquad \epsilon \sim \mathcal N(0, s^2).

network = train(spiral, sigma, steps=400 if quick else 3000)
arrows = plane(27, extent)
fields = {
    "exact mean shift, $s$": mean_shift(spiral.denoise, arrows, sigma),
    "learned by a DAE, $s$": mean_shift(network, arrows, sigma),
    r"exact mean shift, $\sqrt{2}\,s$": mean_shift(spiral.denoise, arrows, math.sqrt(2) * sigma),
    r"eq. 8 with the DAE, for $\sqrt{2}\,s$": stochastic_field(network, arrows, sigma),
}

figure, axes = plt.subplots(2, 2, figsize=(9, 9.4), layout="constrained")
for panel, (title, field) in zip(axes.flat, fields.items(), strict=True):
    x, y = arrows.flatten(1).T
    u, v = field.flatten(1).T
    show_density(panel, 0.0, title)
    panel.quiver(x, y, u, v, color="firebrick", angles="xy", scale_units="xy", scale=1.5, width=0.004)

# %%
# All arrows point to the spiral and vanish on it. They are drawn at two thirds of their length. The network agrees
# with the formula where noisy points are common. In the corners there were none in training, so it is wrong there. For
# points with the noise of the training:

rng = torch.Generator().manual_seed(1)
clean = spiral.sample(2000, rng)
noisy = clean + sigma * torch.randn(clean.shape, generator=rng)

exact, learned = mean_shift(spiral.denoise, noisy, sigma), mean_shift(network, noisy, sigma)
error = float((learned - exact).norm() / exact.norm())
print(f"the DAE differs from the exact mean shift by {100 * error:.0f} % of its length")

wide, averaged = mean_shift(spiral.denoise, noisy, math.sqrt(2) * sigma), stochastic_field(network, noisy, sigma)
cosine = float(torch.cosine_similarity(averaged.flatten(1), wide.flatten(1)).mean())
ratio = float(averaged.norm() / wide.norm())
print(f"eq. 8 points along the exact mean shift (mean cosine {cosine:.2f}), and is {ratio:.1f} times as long")

# %%
# Eq. 8 exchanges the logarithm and the mean. The direction stays. The length is overestimated where the density is not
# much wider than the kernel, by up to two times for a line. In a restoration this factor is a part of the prior
# weight. The advantage: the input of the network always has the noise that it was trained for.
#
# %%
# Gradient descent on the prior
# -----------------------------
# The mean shift is zero on the ridges of the density. The prior's energy is its squared length,
# :math:`R_s(x) = \tfrac12 \|A_s(x) - x\|^2`. Gradient descent on the energy, with new noise in every step as in DAEP,
# moves the points onto the spiral.

points = plane(15, 1.0)
noise = NoiseSource(seed=[*range(len(points))])  # each point draws its own
path = [points]
for _ in range(60):
    points = points - 0.3 * energy_gradient(network, points, sigma, noise.draw(points))
    path.append(points)

figure, panel = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
show_density(panel, 0.0, "60 steps of gradient descent")
for track in torch.stack(path).flatten(2).unbind(1):
    panel.plot(*track.T, color="grey", linewidth=0.4)
panel.plot(*points.flatten(1).T, ".", color="firebrick")
panel.set(xlim=(-extent, extent), ylim=(-extent, extent))
plt.show()
