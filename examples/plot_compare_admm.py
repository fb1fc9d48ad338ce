r"""
Compare with plug-and-play ADMM
===============================

The same measurement and the same network under plug-and-play ADMM and under DAEP: first when the noise is what the
methods are told, then when it is twice as strong, and DAEP may also find that out by itself.
"""

import os

import deepinv as dinv
import skimage
import torch
from deepinv.optim import ADMM, L2, PnP
from deepinv.physics.generator import MotionBlurGenerator
from deepinv.utils import plot

from daep_deepinv import DAEP, DAEDenoiser

device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))  # the test suite runs this example on fewer pixels

# %%
# One denoiser for both
# ---------------------
# ``DAEDenoiser`` is a deepinv ``Denoiser``, so it stands wherever deepinv takes one. PnP-ADMM's noise level and step
# were chosen for this photograph and this noise; DAEP runs as it is.

denoiser = DAEDenoiser("dae").to(device)
told = 7.65 / 255
width = 15 / 255


def pnp_admm(y, physics):
    model = ADMM(
        prior=PnP(denoiser),
        data_fidelity=L2(),
        stepsize=2 * (width / told) ** 2,
        g_param=width,
        max_iter=30,
    )
    with torch.no_grad():
        return model(y, physics).clamp(0, 1)


def daep(y, physics):
    return DAEP(told, denoiser=denoiser)(y, physics)


# %%
# Noise as told, and twice as strong
# ----------------------------------

photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].to(device) / 255
x = photograph[..., 50 : 50 + size, 150 : 150 + size]
shake = MotionBlurGenerator((25, 25), device=device).step(seed=2)["filter"]
metric = dinv.metric.PSNR()

psnr = {}
for title, true in {"as told": told, "twice as told": 2 * told}.items():
    noise = dinv.physics.GaussianNoise(true, rng=torch.Generator(device).manual_seed(0))
    physics = dinv.physics.BlurFFT((3, size, size), filter=shake / shake.sum(), noise_model=noise, device=device)
    y = physics(x)
    restored = {"PnP-ADMM": pnp_admm(y, physics), "DAEP": daep(y, physics)}
    if true != told:
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
    print(f"{title:36s} {value:.2f} dB")

# %%
# A solver that assumes too little noise fits it, and no prior helps against the wrong weight of the data. If the noise
# level is unknown, ``DAEP("estimate")`` estimates it in each image. ``benchmarks/comparison.py`` measures what all
# methods lose by a wrong noise level, coloured noise and a wrong kernel.
