r"""
Deblurring without knowing the blur
===================================

A photograph is blurred by a camera shake that nobody knows. :class:`daep_deepinv.BlindDAEP` finds the blur kernel in
the photograph and restores it.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEP, BlindDAEP

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels; fewer than 128 do not show a blur
size = max(128, int(os.environ.get("DAEP_EXAMPLE_SIZE", 200)))

# %%
# A blurred photograph
# --------------------
# Only ``y`` is given to the method. The noise level is 1 % of white.

shake = MotionBlurGenerator((11, 11), l=0.4, sigma=0.7, device=device).step(seed=6)["filter"]
shake = shake / shake.sum()
photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 30 : 40 + size, 130 : 140 + size]
noise = dinv.physics.GaussianNoise(2.55 / 255, rng=torch.Generator(device).manual_seed(0))
physics = dinv.physics.Blur(shake, padding="valid", noise_model=noise, device=device)
y = physics(x)

# %%
# Kernel and image
# ----------------
# ``size`` is the side of the largest kernel that is sought. The default is an eighth of the photograph. Several starts
# with different noise and scales are compared; ``confidence`` is the probability that the kernel is right.

model = BlindDAEP(size=13, device=device)
x_hat = model(y)
print(f"{model.verdict[0]}, confidence {model.confidence[0]:.2f}, kernel {tuple(model.kernel.shape[2:])}")

# %%
# Square roots make weak parts of the kernels visible. A kernel is found up to a shift.


def framed(kernel, side=15):
    margin = (side - kernel.shape[-1]) // 2
    return torch.nn.functional.pad(kernel / kernel.max(), [margin] * 4).sqrt()


plot({"true kernel": framed(shake), "found kernel": framed(model.kernel)}, figsize=(5, 2.8), rescale_mode="clip")

# %%
# Comparison with the true kernel
# -------------------------------
# :class:`daep_deepinv.DAEP` restores the photograph with the true kernel. As the found image may be shifted, the PSNR
# is the best over shifts of up to three pixels.

known = DAEP(preset="fast", device=device)(y, physics)[..., 5:-5, 5:-5]
sharp = x[..., 5:-5, 5:-5]
metric = dinv.metric.PSNR()


def best_psnr(image):
    shifts = [(down, right) for down in range(-3, 4) for right in range(-3, 4)]
    inner = (..., slice(8, -8), slice(8, -8))
    return max(metric(image.roll(shift, (-2, -1))[inner], sharp[inner]).item() for shift in shifts)


psnr = {"blurred": best_psnr(y), "BlindDAEP": best_psnr(x_hat), "true kernel": best_psnr(known)}
plot(
    {"photograph": y, "BlindDAEP": x_hat, "true kernel": known},
    subtitles=[f"{value:.2f} dB" for value in psnr.values()],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(9, 3.6),
)

# %%
# Nothing is restored on a guess: a sharp photograph, or one whose blur is not found, comes back as it was, the latter
# with a warning. With ``varying=True`` the blur may vary over the photograph.
