"""The pipeline's picture: order, places and arrows of both drawings."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from sparkmine.evaluate.report import StageInfo
from sparkmine.evaluate.report.flow import Drawing, layered, listed, ordered


def stage(name: str, *inputs: str) -> StageInfo:
    return StageInfo(name=name, kind="query", status="done", inputs=inputs)


RETAIL = (
    stage("ingest"),
    stage("products"),
    stage("clean", "ingest"),
    stage("weeks", "clean", "products"),
    stage("network", "weeks"),
    stage("tree", "weeks"),
    stage("mean", "network", "tree"),
    stage("rules", "clean", "products"),
    stage("evaluate", "weeks", "network", "tree", "mean"),
    stage("report", "evaluate", "rules"),
)


def random_graph(seed: int) -> tuple[StageInfo, ...]:
    generator = np.random.default_rng(seed)
    return tuple(
        stage(f"s{i}", *{f"s{j}" for j in range(i) if generator.random() < 2.5 / (i + 1)})
        for i in range(18)
    )


GRAPHS = [RETAIL, *(random_graph(seed) for seed in range(5))]


def test_order_puts_inputs_first_and_keeps_the_rest() -> None:
    assert [s.name for s in ordered(RETAIL)] == [s.name for s in RETAIL]
    assert [s.name for s in ordered(RETAIL[::-1])][-1] == "report"
    for graph in GRAPHS:
        seen: set[str] = set()
        for found in ordered(graph[::-1]):
            assert set(found.inputs) <= seen
            seen.add(found.name)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("draw", [layered, listed])
def test_boxes_lie_on_the_canvas_without_overlap(draw, graph) -> None:
    drawing: Drawing = draw(graph)
    assert {box.stage.name for box in drawing.boxes} == {s.name for s in graph}
    for box in drawing.boxes:
        assert box.x >= 0 and box.y >= 0
        assert box.x + box.width <= drawing.width + 0.1
        assert box.y + box.height <= drawing.height + 0.1
    for a, b in combinations(drawing.boxes, 2):
        apart = max(a.x, b.x) >= min(a.x + a.width, b.x + b.width) or max(a.y, b.y) >= min(
            a.y + a.height, b.y + b.height
        )
        assert apart, (a.stage.name, b.stage.name)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("draw", [layered, listed])
def test_one_arrow_for_each_input(draw, graph) -> None:
    drawing: Drawing = draw(graph)
    assert len(drawing.arrows) == sum(len(s.inputs) for s in graph)


@pytest.mark.parametrize("graph", GRAPHS)
def test_layered_arrows_run_down_and_past_the_boxes(graph) -> None:
    drawing = layered(graph)
    for arrow in drawing.arrows:
        x, y = 0.0, -1.0
        for command, numbers in re.findall(r"([MCV])([^MCV]*)", arrow.path):
            values = [float(number) for number in numbers.split()]
            end = (x, values[0]) if command == "V" else (values[-2], values[-1])
            assert end[1] > y
            if command == "V":
                for box in drawing.boxes:
                    if y < box.y + 1 < end[1]:
                        assert not box.x < x < box.x + box.width
            x, y = end


def test_unknown_inputs_cycles_and_nothing() -> None:
    odd = (stage("a", "elsewhere", "b"), stage("b", "a"))
    for draw in (layered, listed):
        assert len(draw(odd).boxes) == 2
        assert len(draw(odd).arrows) == 1
        assert draw(()).boxes == ()
