r"""
Compare with plug-and-play ADMM
===============================

The same measurement and the same network under plug-and-play ADMM and under DAEP: first when the noise is what the
methods are told, then when it is stronger.
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

psnr, images, captions = {}, {"original": x}, [""]
for title, true in {"as told": told, "twice as told": 2 * told}.items():
    noise = dinv.physics.GaussianNoise(true, rng=torch.Generator(device).manual_seed(0))
    physics = dinv.physics.BlurFFT((3, size, size), filter=shake / shake.sum(), noise_model=noise, device=device)
    y = physics(x)
    images[f"blurred\nnoise {title}"] = y
    captions.append(f"{metric(y, x).item():.2f} dB")
    for name, method in {"PnP-ADMM": pnp_admm, "DAEP": daep}.items():
        restored = method(y, physics)
        psnr[f"{name}, {title}"] = metric(restored, x).item()
        images[f"{name}\nnoise {title}"] = restored
        captions.append(f"{psnr[f'{name}, {title}']:.2f} dB")

for title, value in psnr.items():
    print(f"{title:26s} {value:.2f} dB")

# %%
# The network under PnP-ADMM sees whatever noise is left in the iterate, and takes what it is not told of for texture.
# Under DAEP it always sees the noise that is added on purpose (eq. 8), whatever the measurement holds.

titles = list(images)
for some in ((0, 1, 2, 3), (0, 4, 5, 6)):
    plot(
        {titles[i]: images[titles[i]] for i in some},
        subtitles=[captions[i] for i in some],
        rescale_mode="clip",
        vmin=0,
        vmax=1,
        figsize=(11, 3.8),
    )
