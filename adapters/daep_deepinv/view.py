"""``View``: images of a batch with the same channels and range, with their measurement, physics and first image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepinv.physics import LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.measurement_parts import shape_of
from daep_deepinv.operators.failures import refusal, unless_it_fails
from daep_deepinv.operators.of_batch import physics_of_images
from daep_deepinv.operators.scaled import ScaledPhysics
from daep_deepinv.starts.starting_point import described_start, starting_point
from daep_deepinv.used_values import ALL_USED, UsedValues
from daep_deepinv.value_range import UNIT_RANGE, ValueRange
from daep_prior.images import RGB

__all__ = ["COLOUR", "GREY", "GREY_AS_COLOUR", "SEVERAL", "View", "views_of"]

COLOUR, GREY, GREY_AS_COLOUR = "colour", "grey", "grey, stored as three channels"
#: Neither of these, or volumes.
SEVERAL = "several channels"


@dataclass(frozen=True)
class View:
    """Images of a batch.

    :param list images: their indices in the batch.
    :param y: their measurement.
    :param LinearPhysics physics: for these images alone.
    :param torch.Tensor start: their first images (B, C, H, W).
    :param str start_name: what that is, in words.
    :param ValueRange range: of these images. ``y`` and ``start`` are scaled by it.
    :param UsedValues used: which measured values are used.
    :param fidelity: data fidelity given in place of least squares, see
        :class:`daep_deepinv.data_terms.given.GivenDataTerm`; ``None``: none.
    :param str channels: ``COLOUR``, ``GREY``, ``SEVERAL`` or ``GREY_AS_COLOUR``; in the last case ``y`` and ``start``
        have one channel.
    :param int start_side: side of the squares over which the first images are averaged, pixels.
    """

    images: list[int]
    y: Any
    physics: LinearPhysics
    start: Tensor
    start_name: str
    channels: str
    start_side: int = 1
    range: ValueRange = UNIT_RANGE
    used: UsedValues = ALL_USED
    fidelity: Any = None

    def subset(self, members: Sequence[int]) -> View:
        """The images of these positions in this view."""
        if len(members) == len(self.images):
            return self
        chosen = list(members)
        physics = physics_of_images(self.physics, self.start, chosen)
        y = TensorList([part[chosen] for part in self.y]) if isinstance(self.y, TensorList) else self.y[chosen]
        images, used = [self.images[i] for i in chosen], self.used.select(chosen)
        return replace(self, images=images, y=y, physics=physics, start=self.start[chosen], used=used)

    def in_ranges(self, ranges: Sequence[ValueRange]) -> list[View]:
        """The images of each different range, scaled: ``K (x - offset) / scale = (y - K offset) / scale``."""
        groups: dict[ValueRange, list[int]] = {}
        for i, found in enumerate(ranges):
            groups.setdefault(found, []).append(i)
        return [self.subset(members)._scaled(found) for found, members in groups.items()]

    def _scaled(self, found: ValueRange) -> View:
        y, start = self.y, self.start
        if not isinstance(self.physics, LinearPhysics) and (any(found.offset) or found.scale != 1):
            physics = ScaledPhysics(self.physics, found.scale, self._offset(found))
            start = (start - self._offset(found)) / found.scale
            return replace(self, y=y / found.scale, physics=physics, start=start, range=found)
        if any(found.offset):
            offset = self._offset(found)
            start, y = start - offset, y - self.physics.A(offset.expand_as(start))
        if found.scale != 1:
            start, y = start / found.scale, y / found.scale
        return replace(self, y=y, start=start, range=found)

    def measurement_in_image_units(self) -> Any:
        """The measurement as it was before it was scaled."""
        y = self.y if self.range.scale == 1 else self.range.scale * self.y
        shifted = any(self.range.offset) and isinstance(self.physics, LinearPhysics)
        return y + self.physics.A(self._offset(self.range).expand_as(self.start)) if shifted else y

    def in_image_units(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) of the solver in the values of the measurement's images."""
        x = x if self.range.scale == 1 else self.range.scale * x
        return x + self._offset(self.range) if any(self.range.offset) else x

    def in_solver_units(self, x: Tensor) -> Tensor:
        """The opposite of :meth:`in_image_units`."""
        x = x - self._offset(self.range) if any(self.range.offset) else x
        return x if self.range.scale == 1 else x / self.range.scale

    def _offset(self, found: ValueRange) -> Tensor:
        """(1, C, 1, 1), for volumes (1, C, 1, 1, 1)."""
        return self.start.new_tensor(found.offset).reshape(1, -1, *[1] * (self.start.ndim - 2))


def views_of(y: Any, physics: LinearPhysics, init: Any, *, split_grey: bool) -> list[View]:
    """The batch as one view, or as two: its colour images, and its grey images that are stored as three channels.

    The noise of such a grey image is equal in the channels, so a colour network would treat it as structure. It is
    restored as one channel.

    :param init: the first image, in any of deepinv's forms, or a function of (y, physics).
    :param bool split_grey: look for such grey images.
    :raises ValueError: the first image cannot be computed for this measurement.
    """
    in_colour = isinstance(y, Tensor) and y.ndim == 4 and y.shape[1] == RGB
    grey = (y[:, :1] == y).flatten(1).all(1).tolist() if split_grey and in_colour else []
    one = _grey_view(y[:, :1], physics, init) if any(grey) else None
    if one is not None and all(grey):
        return [one]
    whole = _view(y, physics, init)
    if one is None:
        return [whole]
    members = [[i for i, g in enumerate(grey) if g == kind] for kind in (False, True)]
    return [whole.subset(members[0]), one.subset(members[1])]


def _grey_view(y: Tensor, physics: LinearPhysics, init: Any) -> View | None:
    """All images of the batch as grey ones; ``None``: this physics takes only images of three channels."""

    def view() -> View | None:
        found = _view(y, physics, init)
        return replace(found, channels=GREY_AS_COLOUR) if physics.A(found.start).shape == y.shape else None

    return unless_it_fails(view, None)


def _view(y: Any, physics: LinearPhysics, init: Any) -> View:
    """All images of the batch as they are."""
    # what is a ValueError has a sentence of its own
    with refusal(f"y: a measurement of shape {shape_of(y)} does not fit this physics", (RuntimeError, IndexError)):
        start, name = first_image(y, physics, init)
    channels = SEVERAL if start.ndim > 4 else {1: GREY, RGB: COLOUR}.get(start.shape[1], SEVERAL)
    return View(list(range(start.shape[0])), y, physics, start, name, channels)


def first_image(y: Any, physics: LinearPhysics, init: Any) -> tuple[Tensor, str]:
    """The first image, in a copy, and what it is in words.

    :raises TypeError: ``init`` has none of deepinv's forms.
    """
    if init is starting_point:
        return described_start(y, physics)
    name = "a given image"
    if callable(init):
        init, name = init(y, physics), "computed by the given function"
    if isinstance(init, dict):
        init = init["est"]
    if isinstance(init, tuple):
        init = init[0]
    if not isinstance(init, Tensor):
        raise TypeError(f"init: got {type(init).__name__}; expected a tensor, a tuple, a dictionary or a function.")
    return init.detach().clone(), name
