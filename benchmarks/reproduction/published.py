"""What the paper reports (Bigdeli and Zwicker, *Image Restoration using Autoencoding Priors*, VISAPP 2018).

PSNR in dB unless stated otherwise. Numbers of our own runs are in ``benchmarks/results/paper``.
"""

from __future__ import annotations

#: Table 1: Set5, super-resolution; factor -> method -> mean over the images.
SET5 = {
    2: {"bicubic": 31.80, "IRCNN": 35.07, "DnCNN-3": 35.20, "DAEP": 35.23},
    3: {"bicubic": 28.67, "IRCNN": 31.26, "DnCNN-3": 31.58, "DAEP": 31.44},
    4: {"bicubic": 26.73, "IRCNN": 29.01, "DnCNN-3": 29.30, "DAEP": 29.01},
    5: {"bicubic": 25.32, "IRCNN": 27.13, "DnCNN-3": 26.30, "DAEP": 27.19},
}
#: Table 2: Set14.
SET14 = {
    2: {"bicubic": 28.53, "IRCNN": 30.79, "DnCNN-3": 30.99, "DAEP": 31.07},
    3: {"bicubic": 25.92, "IRCNN": 27.68, "DnCNN-3": 27.93, "DAEP": 27.93},
    4: {"bicubic": 24.44, "IRCNN": 25.96, "DnCNN-3": 26.25, "DAEP": 26.13},
    5: {"bicubic": 23.46, "IRCNN": 24.73, "DnCNN-3": 24.26, "DAEP": 24.88},
}
#: Table 3: Levin et al.'s four images under their eight kernels; noise (of 255) -> method -> mean over the 32.
LEVIN = {
    2.55: {"Levin": 31.09, "EPLL": 32.51, "RTF-6": 32.51, "IRCNN": 30.78, "DAEP": 32.69},
    7.65: {"Levin": 27.40, "EPLL": 28.42, "RTF-6": 21.44, "IRCNN": 28.77, "DAEP": 28.95},
    12.75: {"Levin": 25.36, "EPLL": 26.13, "RTF-6": 16.03, "IRCNN": 27.41, "DAEP": 26.87},
}
#: Table 3, last column: seconds for a 128 x 128 image on a Titan X.
SECONDS = {"Levin": 3.09, "EPLL": 16.49, "RTF-6": 9.82, "IRCNN": 2.47, "DAEP": 11.19}
#: Figure 6: the 24 Kodak images, Levin's kernel 1, 1 % noise.
KODAK = {
    "Lucy-Richardson": 24.47,
    "L2": 28.23,
    "TV": 29.25,
    "Levin IRLS": 30.15,
    "Krishnan and Fergus": 30.18,
    "Fortunato and Oliveira": 30.34,
    "DAEP": 31.07,
}
#: Figure 7: one image, which the paper does not name; 70 % of the pixels missing, and 10 % noise.
INPAINTING = {"measurement": 6.13, "DAEP": 30.68}
DENOISING = {"measurement": 20.47, "DAEP": 31.05}
#: Section 4: gain by the stochastic evaluation of the gradient (eq. 8).
STOCHASTIC_GAIN = 1.7
