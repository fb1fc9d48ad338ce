r"""
Compare with plug-and-play ADMM
===============================

Plug-and-play ADMM and DAEP restore the same measurement with the same network. The assumed noise level is right in the
first case. In the second the noise is twice as strong, and DAEP may also estimate it.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.optim import ADMM, L2, PnP
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEP, DAEDenoiser

device = "cuda" if torch.cuda.is_available() else "cpu"
# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))

# %%
# One denoiser for both
# ---------------------
# ``DAEDenoiser`` is a deepinv ``Denoiser``. The level of the denoiser and the step of PnP-ADMM were chosen for this
# photograph and this noise. DAEP has its default settings.

denoiser = DAEDenoiser("dae").to(device)
assumed = 7.65 / 255
width = 15 / 255


def pnp_admm(y, physics):
    model = ADMM(
        prior=PnP(denoiser),
        data_fidelity=L2(),
        stepsize=2 * (width / assumed) ** 2,
        g_param=width,
        max_iter=30,
    )
    with torch.no_grad():
        return model(y, physics).clamp(0, 1)


def daep(y, physics):
    return DAEP(assumed, denoiser=denoiser)(y, physics)


# %%
# Noise as assumed, and twice as strong
# -------------------------------------

photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 50 : 50 + size, 150 : 150 + size]
shake = MotionBlurGenerator((25, 25), device=device).step(seed=2)["filter"]
metric = dinv.metric.PSNR()

psnr = {}
for title, true in {"as assumed": assumed, "twice as assumed": 2 * assumed}.items():
    noise = dinv.physics.GaussianNoise(true, rng=torch.Generator(device).manual_seed(0))
    physics = dinv.physics.BlurFFT((3, size, size), filter=shake / shake.sum(), noise_model=noise, device=device)
    y = physics(x)
    restored = {"PnP-ADMM": pnp_admm(y, physics), "DAEP": daep(y, physics)}
    if true != assumed:
        restored["DAEP, noise estimated"] = DAEP("estimate", denoiser=denoiser)(y, physics)
    psnr |= {f"{name}, {title}": metric(image, x).item() for name, image in restored.items()}
    plot(
        {"original": x, f"noise {title}": y, **restored},
        subtitles=["", *(f"{metric(image, x).item():.2f} dB" for image in (y, *restored.values()))],
        rescale_mode="clip",
        vmin=0,
        vmax=1,
        figsize=(2.75 * (2 + len(restored)), 3.6),
    )

for title, value in psnr.items():
    print(f"{title:40s} {value:.2f} dB")

# %%
# A solver that assumes too little noise reproduces the noise. ``DAEP`` detects this where the blur leaves only noise,
# warns, and uses the level that it finds. If the level is unknown, ``DAEP("estimate")`` estimates it in each image.
# ``benchmarks/comparison.py`` measures all methods under a wrong noise level, coloured noise and a wrong kernel.
