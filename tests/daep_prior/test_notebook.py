"""What a notebook shows is well-formed, short, and true."""

import xml.etree.ElementTree as ElementTree

import pytest

from daep_prior import schedules
from daep_prior.notebook import HEIGHT, MARGIN, WIDTH, sparkline, table

ALL = [
    schedules.annealed(0.01),
    schedules.paper(0.01),
    schedules.paper_sr(3),
    schedules.annealed(iterations=1),
    schedules.missing_pixels(),
    schedules.fast(0.01),
]


def points(drawing):
    line = ElementTree.fromstring(drawing).find("polyline")
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


@pytest.mark.parametrize("schedule", ALL, ids=len)
def test_a_schedule_is_shown_whole_in_a_small_table(schedule):
    html = schedule._repr_html_()
    tree = ElementTree.fromstring(html)
    assert tree.find("caption").text == f"Schedule of {len(schedule)} iterations, {schedule.solver} solver"
    assert [row.find("th").text for row in tree.iter("tr")] == [*schedule.columns(), "final_width", "dual", "clip"]
    assert len(tree.findall(".//polyline")) == len(schedule.columns())


def test_the_text_of_a_schedule_is_one_short_line_with_first_and_last_values():
    text = repr(schedules.annealed(0.01))
    assert "\n" not in text
    assert len(text) < 250
    assert text.startswith("Schedule(proximal, 36 iterations: kernel_width=0.549->0.02745, ")
    assert "data_weight=1, " in text
    assert repr(schedules.paper(0.01)).endswith("final_width=None)")
    assert repr(schedules.missing_pixels()).endswith("final_width=None, dual)")
    assert repr(schedules.fast(0.01)).endswith(", clip=False)")


def test_a_line_falls_where_the_values_fall_and_stays_inside():
    drawn = points(sparkline([4.0, 2.0, 1.0]))
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert drawn[0][1] == MARGIN
    assert drawn[-1] == (WIDTH - MARGIN, HEIGHT - MARGIN)
    assert MARGIN < drawn[1][1] < HEIGHT - MARGIN


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0], [0.0]])
def test_a_constant_is_a_line_through_the_middle(values):
    drawn = points(sparkline(values))
    assert len(drawn) >= 2
    assert {y for _, y in drawn} == {HEIGHT / 2}


def test_texts_cannot_break_the_table():
    assert ElementTree.fromstring(table("<b>", {"a & b": ("x < y", "")})).find("tr/th").text == "a & b"
