"""Tables and line drawings for notebooks, as plain HTML and SVG."""

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["span", "sparkline", "table"]

#: Size of a drawing in pixels, and the margin that keeps the line inside.
WIDTH, HEIGHT, MARGIN = 160, 28, 2


def span(values: Sequence[float], arrow: str = "->") -> str:
    """The first and the last value, with an arrow between them; one value if all are equal."""
    first, last = f"{values[0]:.4g}", f"{values[-1]:.4g}"
    return first if len(set(values)) == 1 else f"{first}{arrow}{last}"


def sparkline(values: Sequence[float]) -> str:
    """A line through ``values``, the smallest at the bottom and the largest at the top, as inline SVG."""
    low, high = min(values), max(values)
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    # a constant is drawn in the middle
    heights = [(high - value) / (high - low) if high > low else 0.5 for value in values]
    heights = heights if len(heights) > 1 else 2 * heights
    points = " ".join(
        f"{MARGIN + step * k:.1f},{MARGIN + (HEIGHT - 2 * MARGIN) * height:.1f}" for k, height in enumerate(heights)
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def table(title: str, rows: Mapping[str, tuple[str, str]]) -> str:
    """An HTML table.

    :param dict rows: name -> (text, drawing); the text is escaped, the drawing is HTML.
    """
    lines = [
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(text)}</td>'
        f"<td>{drawing}</td></tr>"
        for name, (text, drawing) in rows.items()
    ]
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"
