r"""
Bring your own operator
=======================

An operator that deepinv does not have, written this morning, and restored without touching anything else: a lens that
is sharp in the middle of the image and loses focus towards its corners.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.physics import LinearPhysics
from deepinv.physics.functional import gaussian_blur
from deepinv.utils import plot

from daep_deepinv import DAEP

device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))  # the test suite runs this example on fewer pixels

# %%
# The operator
# ------------
# A deepinv ``LinearPhysics`` needs two methods: ``A``, what happens to the image, and ``A_adjoint``, its transpose.
# Here every pixel is a mixture of the sharp and of the blurred image, and the share of the blurred one grows towards
# the corners: :math:`A x = (1 - w) \, x + w \, (k * x)`. The kernel :math:`k` is symmetric, so blurring is its own
# transpose.


class Defocus(LinearPhysics):
    def __init__(self, size, width=3.0, **kwargs):
        super().__init__(**kwargs)
        place = torch.linspace(-1, 1, size)
        distance = (place[:, None] ** 2 + place[None, :] ** 2) / 2
        self.register_buffer("share", (1.6 * distance).clamp(max=1)[None, None])
        self.blur = dinv.physics.Blur(gaussian_blur(sigma=(width, width)), padding="circular")
        self.to(kwargs.get("device", "cpu"))

    def A(self, x, **kwargs):
        return (1 - self.share) * x + self.blur.A(self.share * x)

    def A_adjoint(self, y, **kwargs):
        return (1 - self.share) * y + self.share * self.blur.A_adjoint(y)


# %%
# deepinv checks the transpose: the two scalar products :math:`\langle A x, y \rangle` and :math:`\langle x, A^\top y
# \rangle` must agree. A wrong adjoint is the most frequent reason for a restoration that goes astray.

sigma = 2.55 / 255
noise = dinv.physics.GaussianNoise(sigma, rng=torch.Generator(device).manual_seed(0))
physics = Defocus(size, noise_model=noise, device=device)

photograph = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 100 : 100 + size, 220 : 220 + size]
adjointness_error = float(physics.adjointness_test(x))
print(f"adjointness error: {adjointness_error:.1e}")

# %%
# Restoration
# -----------
# Nothing else is to be said. The proximal step of the data term is computed by conjugate gradients from ``A`` and
# ``A_adjoint``; an operator that knows a closed form offers it by overriding ``prox_l2``.

y = physics(x)
x_hat = DAEP(device=device)(y, physics)

metric = dinv.metric.PSNR()
psnr = {"measurement": metric(y, x).item(), "DAEP": metric(x_hat, x).item()}
plot(
    {"original": x, "out of focus": y, "DAEP": x_hat},
    subtitles=["", f"{psnr['measurement']:.2f} dB", f"{psnr['DAEP']:.2f} dB"],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(9, 3.6),
)
