"""``Plan``: what was understood of a measurement, and what is decided for its restoration."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from daep_deepinv.caller_warnings import warn_caller
from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.value_range import ValueRange
from daep_prior import Schedule
from daep_prior.notebook import table

__all__ = ["Plan", "Plans"]


@dataclass(frozen=True)
class Plan:
    """The plan for one image. Images of a batch with equal plans are restored together.

    :param tuple image_shape: (C, H, W) of the image.
    :param str channels: ``"colour"``, ``"grey"``, or ``"grey, stored as three channels"``, which is restored as one.
    :param ValueRange range: range of the image's values, and the scale at which the solver works.
    :param NoiseModel noise: the noise it is restored for, and how that is known; in the image's units.
    :param str data_term: the data term.
    :param str start: the first image.
    :param str preset: name of the preset; ``None``: a schedule of the caller's.
    :param Schedule schedule: the numbers of every iteration, and the solver they are for.
    :param tuple warnings: what contradicts the measurement, as ``Warning`` objects. Equal plans may differ in these.
    """

    image_shape: tuple[int, ...]
    channels: str
    range: ValueRange
    noise: NoiseModel
    data_term: str
    start: str
    preset: str | None
    schedule: Schedule
    warnings: tuple[Warning, ...] = field(default=(), compare=False)

    def rows(self) -> dict[str, str]:
        """Name -> what is decided, in words."""
        schedule = self.schedule
        widths = [255 * schedule.kernel_width[k] for k in (0, -1)]
        of_width = f"kernel width {widths[0]:.3g}/255" + (f" to {widths[1]:.3g}/255" if widths[0] != widths[1] else "")
        count = "1 iteration" if len(schedule) == 1 else f"{len(schedule)} iterations"
        last = "" if schedule.final_width is None else f", then denoised at {255 * schedule.final_width:.3g}/255"
        rows = {
            "image": f"{' x '.join(map(str, self.image_shape))}, {self.channels}",
            "range": str(self.range),
            "noise": str(self.noise),
            "data term": self.data_term,
            "start": self.start,
            "preset": self.preset or "none, a given schedule",
            "schedule": f"{schedule.solver} solver, {count}, {of_width}{last}",
        }
        return rows | {f"warning {i + 1}" if i else "warning": str(text) for i, text in enumerate(self.warnings)}

    def __str__(self) -> str:
        rows = self.rows()
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())

    def _repr_html_(self) -> str:
        return table("Plan", {name: (text, "") for name, text in self.rows().items()})


class Plans(tuple[Plan, ...]):
    """The plans of a batch, one an image. Printing shows equal plans once."""

    def groups(self) -> list[tuple[Plan, list[int]]]:
        """Each different plan, with the images it is for."""
        groups: list[tuple[Plan, list[int]]] = []
        for i, plan in enumerate(self):
            known = next((members for other, members in groups if other == plan), None)
            if known is None:
                groups.append((plan, [i]))
            else:
                known.append(i)
        return groups

    def warn(self) -> None:
        """Emit each different warning of the plans once."""
        for warning in {str(warning): warning for plan in self for warning in plan.warnings}.values():
            warn_caller(warning)

    def __str__(self) -> str:
        groups = self.groups()
        if len(groups) == 1:
            return str(self[0])
        return "\n\n".join(f"{_images(members)}\n{plan}" for plan, members in groups)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(
            (f"<p>{escape(_images(members))}</p>" if len(self) > 1 else "") + plan._repr_html_()
            for plan, members in self.groups()
        )


def _images(members: list[int]) -> str:
    return f"image{'s' if len(members) > 1 else ''} {', '.join(map(str, members))}"
