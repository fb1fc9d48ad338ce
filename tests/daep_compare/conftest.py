"""Fixtures shared with the tests of the plug-in."""

from denoisers import images, make_smoother, make_spy, unet

__all__ = ["images", "make_smoother", "make_spy", "unet"]
