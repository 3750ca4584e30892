"""The picture of the pipeline: where boxes and arrows go. The template draws them.

Two drawings of the same stages. `layered` is for wide pages: every stage above what reads it
(Sugiyama, Tagawa and Toda 1981): longest-path layers, long arrows led through gaps in the layers
between, order by barycentres, positions by least squares. `listed` is for phones: one stage a
row, and each result a coloured lane beside the rows, from the stage that writes it to the last
one that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sparkmine.evaluate.report.data import StageInfo
from sparkmine.evaluate.report.pictures import COLOURS

_LAYERED_BOX, _LAYERED_HEIGHT, _GAP, _LAYER_STEP, _LEAD = 178.0, 62.0, 16.0, 100.0, 10.0
_LISTED_WIDTH, _LISTED_HEIGHT, _ROW_STEP, _LANE = 350.0, 54.0, 66.0, 8.0
_MAX_LANES = 14


@dataclass(frozen=True, kw_only=True)
class Box:
    """A stage at its place (upper left corner)."""

    stage: StageInfo
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """An SVG path from one stage to another."""

    path: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Boxes and arrows on a canvas of the given size."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def ordered(stages: Sequence[StageInfo]) -> list[StageInfo]:
    """Every stage after those it reads, else in the given order; a cycle is left as it comes."""
    left, done, result = list(stages), set[str](), list[StageInfo]()
    names = {stage.name for stage in stages}
    while left:
        ready = (s for s in left if all(i in done or i not in names for i in s.inputs))
        following = next(ready, left[0])
        left.remove(following)
        done.add(following.name)
        result.append(following)
    return result


def layered(stages: Sequence[StageInfo]) -> Drawing:
    """Layers from top to bottom, arrows down; see the module's text."""
    graph = _Layers.of(ordered(stages))
    graph.sort()
    centres = graph.positions()
    left = min((centres[n] - graph.width(n) / 2 for row in graph.rows for n in row), default=0.0)
    right = max((centres[n] + graph.width(n) / 2 for row in graph.rows for n in row), default=0.0)
    centres = {node: x - left + 2 for node, x in centres.items()}
    boxes = tuple(
        Box(
            stage=graph.stages[node],
            x=centres[node] - _LAYERED_BOX / 2,
            y=2 + layer * _LAYER_STEP,
            width=_LAYERED_BOX,
            height=_LAYERED_HEIGHT,
        )
        for layer, row in enumerate(graph.rows)
        for node in row
        if node in graph.stages
    )
    height = max(len(graph.rows) - 1, 0) * _LAYER_STEP + _LAYERED_HEIGHT + 4
    return Drawing(
        width=right - left + 4, height=height, boxes=boxes, arrows=_curves(graph, centres)
    )


def listed(stages: Sequence[StageInfo]) -> Drawing:
    """One stage a row with lanes at the left; see the module's text."""
    rows = ordered(stages)
    places = {stage.name: place for place, stage in enumerate(rows)}
    readers: dict[str, list[int]] = {}
    for place, stage in enumerate(rows):
        for name in stage.inputs:
            if places.get(name, place) < place:
                readers.setdefault(name, []).append(place)
    lanes = _lanes({name: (places[name], max(found)) for name, found in readers.items()})
    count = max(lanes.values(), default=-1) + 1
    step = min(_LANE, _LANE * _MAX_LANES / max(count, 1))
    edge = 6 + count * step + 8
    arrows = []
    for name, found in sorted(readers.items(), key=lambda item: places[item[0]]):
        x = edge - 8 - step * lanes[name]
        start = 2 + places[name] * _ROW_STEP + _LISTED_HEIGHT - 16
        colour = COLOURS[lanes[name] % len(COLOURS)]
        for place in found:
            end = 2 + place * _ROW_STEP + 16
            path = (
                f"M{edge:g} {start:g}H{x + 4:g}Q{x:g} {start:g} {x:g} {start + 4:g}"
                f"V{end - 4:g}Q{x:g} {end:g} {x + 4:g} {end:g}H{edge - 2:g}"
            )
            arrows.append(Arrow(path=path, colour=colour))
    boxes = tuple(
        Box(
            stage=stage,
            x=edge,
            y=2 + place * _ROW_STEP,
            width=_LISTED_WIDTH - edge - 2,
            height=_LISTED_HEIGHT,
        )
        for place, stage in enumerate(rows)
    )
    height = max(len(rows) - 1, 0) * _ROW_STEP + _LISTED_HEIGHT + 4
    return Drawing(width=_LISTED_WIDTH, height=height, boxes=boxes, arrows=tuple(arrows))


def _lanes(spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """A lane for each span of rows, the nearest that is free; short spans stay near the boxes."""
    taken: list[list[tuple[int, int]]] = []
    lanes = {}
    for name, (first, last) in sorted(spans.items(), key=lambda s: (s[1][1] - s[1][0], s[1])):
        for lane in range(len(taken) + 1):
            if lane == len(taken):
                taken.append([])
            # A lane may end in the row where the next one starts: arrows enter above they leave.
            if all(last <= other[0] or other[1] <= first for other in taken[lane]):
                taken[lane].append((first, last))
                lanes[name] = lane
                break
    return lanes


# A node is the name of a stage, or (source, target, layer) where a long arrow passes a layer.
_Node = str | tuple[str, str, int]


@dataclass
class _Layers:
    stages: dict[_Node, StageInfo]
    rows: list[list[_Node]]
    chains: dict[tuple[str, str], list[_Node]]  # each arrow with the gaps that it passes
    above: dict[_Node, list[_Node]] = field(default_factory=dict)
    below: dict[_Node, list[_Node]] = field(default_factory=dict)

    @classmethod
    def of(cls, stages: Sequence[StageInfo]) -> _Layers:
        layer: dict[str, int] = {}
        readers: dict[str, list[str]] = {}
        for stage in stages:
            known = [name for name in dict.fromkeys(stage.inputs) if name in layer]
            layer[stage.name] = 1 + max((layer[name] for name in known), default=-1)
            for name in known:
                readers.setdefault(name, []).append(stage.name)
        # Down to just above the first reader, where that shortens more arrows than it lengthens.
        for stage in reversed(stages):
            arriving = sum(name in readers for name in set(stage.inputs))
            if stage.name in readers and (not arriving or len(readers[stage.name]) > arriving):
                layer[stage.name] = min(layer[name] for name in readers[stage.name]) - 1
        rows: list[list[_Node]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
        for stage in stages:
            rows[layer[stage.name]].append(stage.name)
        found = cls(stages={stage.name: stage for stage in stages}, rows=rows, chains={})
        for source, targets in readers.items():
            for target in targets:
                chain: list[_Node] = [source]
                for between in range(layer[source] + 1, layer[target]):
                    lead: _Node = (source, target, between)
                    rows[between].append(lead)
                    chain.append(lead)
                chain.append(target)
                found.chains[source, target] = chain
                for upper, lower in pairwise(chain):
                    found.below.setdefault(upper, []).append(lower)
                    found.above.setdefault(lower, []).append(upper)
        return found

    def width(self, node: _Node) -> float:
        return _LAYERED_BOX if node in self.stages else _LEAD

    def sort(self) -> None:
        """Order each layer by the mean place of its neighbours; keep the fewest crossings."""
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(16):
            down = sweep % 2 == 0
            neighbours = self.above if down else self.below
            for row in self.rows if down else reversed(self.rows):
                place = {
                    node: i / max(len(r) - 1, 1) for r in self.rows for i, node in enumerate(r)
                }
                row.sort(key=lambda node: _mean([place[n] for n in neighbours.get(node, [node])]))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows[:] = best

    def _crossings(self) -> int:
        place = {node: i for row in self.rows for i, node in enumerate(row)}
        count = 0
        for row in self.rows:
            arrows = [(place[n], place[lower]) for n in row for lower in self.below.get(n, [])]
            count += sum(
                (a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(arrows) for b in arrows[:i]
            )
        return count

    def positions(self) -> dict[_Node, float]:
        """Centres: as near to the neighbours as order and width allow."""
        centres: dict[_Node, float] = {}
        for row in self.rows:
            offsets = self._offsets(row)
            middle = offsets[-1] / 2 if offsets else 0.0
            centres.update(zip(row, (offset - middle for offset in offsets), strict=True))
        for sweep in range(24):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                offsets = self._offsets(row)
                wanted = []
                for node, offset in zip(row, offsets, strict=True):
                    around = self.above.get(node, []) + self.below.get(node, []) or [node]
                    weights = [self._stiffness(node, other) for other in around]
                    pull = sum(w * centres[n] for w, n in zip(weights, around, strict=True)) / sum(
                        weights
                    )
                    wanted.append((pull - offset, sum(weights)))
                fitted = _rising(wanted)
                centres.update(
                    zip(row, (f + o for f, o in zip(fitted, offsets, strict=True)), strict=True)
                )
        return centres

    def _stiffness(self, node: _Node, other: _Node) -> float:
        """How strongly an arrow's part keeps straight: most where it passes layers."""
        return (1.0, 2.0, 8.0)[(node not in self.stages) + (other not in self.stages)]

    def _offsets(self, row: Sequence[_Node]) -> list[float]:
        offsets: list[float] = []
        for place, node in enumerate(row):
            if place == 0:
                offsets.append(0.0)
            else:
                half = (self.width(row[place - 1]) + self.width(node)) / 2
                offsets.append(offsets[-1] + half + _GAP)
        return offsets


def _curves(graph: _Layers, centres: Mapping[_Node, float]) -> tuple[Arrow, ...]:
    level = {node: layer for layer, row in enumerate(graph.rows) for node in row}

    def port(node: _Node, others: Sequence[_Node], other: _Node) -> float:
        """Arrows leave and enter side by side, in the order of where they go."""
        sides = sorted(others, key=lambda n: (centres[n], str(n)))
        spread = min(14.0, (_LAYERED_BOX - 40) / max(len(sides) - 1, 1))
        return centres[node] + spread * (sides.index(other) - (len(sides) - 1) / 2)

    arrows = []
    for (source, target), chain in graph.chains.items():
        points = [
            (
                port(source, graph.below[source], chain[1]),
                2 + level[source] * _LAYER_STEP + _LAYERED_HEIGHT,
            )
        ]
        for lead in chain[1:-1]:
            top = 2 + level[lead] * _LAYER_STEP
            points += [(centres[lead], top), (centres[lead], top + _LAYERED_HEIGHT)]
        points.append((port(target, graph.above[target], chain[-2]), level[target] * _LAYER_STEP))
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for place, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
            if place % 2:  # straight through the layer
                path += f"V{y1:.1f}"
            else:
                bend = (y1 - y0) * 0.5
                path += f"C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"
        colour = COLOURS[list(graph.stages).index(source) % len(COLOURS)]
        arrows.append(Arrow(path=path, colour=colour))
    return tuple(arrows)


def _rising(wanted: Sequence[tuple[float, float]]) -> list[float]:
    """The sequence that never falls nearest to (value, weight): pool adjacent violators."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in wanted:
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, v, n), (b, w, m) = pools[-2], pools[-1]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, n + m)]
    return [value for value, _, count in pools for _ in range(count)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
