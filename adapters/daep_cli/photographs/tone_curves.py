"""Tone curves: the values of a file as amounts of light, and back.

Blur happens in light. The curve is that of the file's ICC profile or gAMA chunk; without one, that of sRGB.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from daep_cli.photographs.photo import Photo

Values: TypeAlias = npt.NDArray[np.float64]

#: Number of samples of a curve that is inverted by interpolation.
SAMPLES = 4096
#: A gAMA chunk with this value is that of sRGB, whose curve is not a power.
SRGB_GAMMA = 45455


@dataclass(frozen=True)
class ToneCurve:
    """An increasing function of [0, 1] to [0, 1] and its inverse.

    Beyond 1 both go on as straight lines, and below 0 they are odd, so that noise around black and white is kept.

    :param Callable forward: light of a value, for arrays in [0, 1].
    :param Callable backward: value of an amount of light.
    :param str name: for the line that is printed.
    """

    forward: Callable[[Values], Values]
    backward: Callable[[Values], Values]
    name: str

    def light(self, values: Values) -> Values:
        """Amounts of light of values."""
        return _continued(self.forward, values)

    def values(self, light: Values) -> Values:
        """Values of amounts of light."""
        return _continued(self.backward, light)

    def slope(self, values: Values) -> Values:
        """Derivative of the light with respect to the value, at values in [0, 1]."""
        step = 1 / SAMPLES
        low, high = (values - step).clip(0, 1), (values + step).clip(0, 1)
        slope: Values = (self.forward(high) - self.forward(low)) / (high - low)
        return slope


def _continued(function: Callable[[Values], Values], x: Values) -> Values:
    inside = np.sign(x) * function(abs(x).clip(0, 1))
    slope = float((function(np.array(1.0)) - function(np.array(1 - 1 / SAMPLES))) * SAMPLES)
    out: Values = np.where(x > 1, 1 + slope * (x - 1), inside)
    return out


def _power(exponent: float, name: str) -> ToneCurve:
    return ToneCurve(lambda v: v**exponent, lambda light: light ** (1 / exponent), name)


def _interpolated(forward: Callable[[Values], Values], name: str) -> ToneCurve:
    """A curve whose inverse is found by interpolation."""
    at: Values = np.linspace(0, 1, SAMPLES) ** 2  # closer where the curve is steep
    light = np.maximum.accumulate(forward(at))
    return ToneCurve(forward, lambda wanted: np.interp(wanted, light, at), name)


def _srgb_light(v: Values) -> Values:
    """IEC 61966-2-1."""
    light: Values = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return light


def _srgb_values(light: Values) -> Values:
    values: Values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.abs(light) ** (1 / 2.4) - 0.055)
    return values


LINEAR = ToneCurve(lambda v: v, lambda light: light, "linear")
SRGB = ToneCurve(_srgb_light, _srgb_values, "sRGB")


def curve_of(photo: Photo) -> ToneCurve:
    """The tone curve of a photo: by its kind of file, its ICC profile, its gAMA chunk; else sRGB.

    :raises ValueError: the profile has a different curve for each colour, or none.
    """
    if photo.linear or photo.colour.dtype.kind == "f":
        return LINEAR
    if photo.icc:
        return _curve_of_profile(photo.icc)
    gamma = dict(photo.metadata.chunks).get(b"gAMA", b"")
    if len(gamma) == 4 and b"sRGB" not in dict(photo.metadata.chunks):
        (encoded,) = struct.unpack(">I", gamma)
        if 0 < encoded != SRGB_GAMMA:
            return _power(100000 / encoded, f"gamma {100000 / encoded:.3g}")
    return SRGB


def _curve_of_profile(icc: bytes) -> ToneCurve:
    """The curve of the profile of a display, or of a grey profile (ICC.1:2022, 9.2.40 and 9.2.44)."""
    try:
        (count,) = struct.unpack_from(">I", icc, 128)
        tags = {}
        for i in range(min(count, 100)):
            signature, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
            tags[signature] = icc[offset : offset + size]
        curves = {tags[name] for name in (b"rTRC", b"gTRC", b"bTRC", b"kTRC") if name in tags}
        if len(curves) == 1:
            return _curve_of_tag(curves.pop())
    except (struct.error, ValueError, IndexError):
        pass
    raise ValueError("its colour profile has no single tone curve; convert it to sRGB.")


def _curve_of_tag(tag: bytes) -> ToneCurve:
    """Types curveType and parametricCurveType (ICC.1:2022, 10.6 and 10.18)."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return LINEAR
        numbers = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        if count == 1:
            return _power(float(numbers[0]) / 256, f"gamma {numbers[0] / 256:.3g}")
        at, table = np.linspace(0, 1, count), numbers / 65535
        return _interpolated(lambda v: np.interp(v, at, table), "of its profile")
    (kind,) = struct.unpack_from(">H", tag, 8)
    if tag[:4] != b"para" or kind > 4:
        raise ValueError(tag[:4])
    p = [n / 65536 for n in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
    g = p[0]
    a, b = (1.0, 0.0) if kind == 0 else (p[1], p[2])
    c, d, e, f = 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):
        d = -b / a
        e = f = p[3] if kind == 2 else 0.0
    elif kind >= 3:
        c, d = p[3], p[4]
        e, f = (p[5], p[6]) if kind == 4 else (0.0, 0.0)
    return _interpolated(
        lambda v: np.where(v >= d, np.maximum(a * v + b, 0) ** g + e, c * v + f).clip(0, 1), "of its profile"
    )
