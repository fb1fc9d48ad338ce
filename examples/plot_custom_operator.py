r"""
Use your own operator
=====================

This example writes an operator that deepinv does not have: a lens that is sharp in the middle of the image and out of
focus in the corners.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.physics import LinearPhysics
from deepinv.physics.functional import gaussian_blur
from deepinv.utils import plot

from daep_deepinv import DAEP

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 160))

# %%
# The operator
# ------------
# A deepinv ``LinearPhysics`` needs two methods: ``A``, the operator, and ``A_adjoint``, its adjoint. Here
# :math:`A x = (1 - w) \, x + k * (w \, x)`. The weight :math:`w` of the blurred image grows towards the corners. The
# kernel :math:`k` is symmetric, so the blur is its own adjoint, and :math:`A^\top y = (1 - w) \, y + w \, (k * y)`.


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
# deepinv checks the adjoint: :math:`\langle A x, y \rangle` and :math:`\langle x, A^\top y \rangle` must be equal. A
# wrong adjoint is the most frequent reason for a bad restoration.

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
# The operator needs no further methods. The proximal step of the data term is computed by conjugate gradients with
# ``A`` and ``A_adjoint``. If there is a closed form, override ``prox_l2``.

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
