"""A pipeline from its YAML file: checked completely before Spark starts."""

from __future__ import annotations

import datetime
import difflib
import graphlib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from sparkmine.errors import ConfigError, SparkmineError
from sparkmine.pipeline.together import check_together
from sparkmine.pipeline.yaml_file import Document, Place, read_yaml, scalar, substitute
from sparkmine.stages import STAGES, Stage
from sparkmine.stages.base import Block

_TOP = ("pipeline", "warehouse", "seed", "parameters", "spark", "stages")


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline.

    Attributes:
        base: Folder of the YAML file; relative paths of sources and SQL start here.
        warehouse: Root of its tables; a relative path starts at the current folder.
        stages: In an order in which every stage follows those whose tables it reads.
        after: For each stage the names of the stages whose tables it reads.
    """

    name: str
    file: Path
    warehouse: str
    seed: int
    date: str
    spark: Mapping[str, str]
    stages: tuple[Stage, ...]
    after: Mapping[str, tuple[str, ...]]

    @property
    def base(self) -> Path:
        return self.file.parent

    def stage(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ConfigError(f"no stage {name!r} in {self.file}{_hint(name, self.names)}")

    @property
    def names(self) -> list[str]:
        return [stage.name for stage in self.stages]

    def reads(self, stage: Stage) -> tuple[str, ...]:
        """The tables that a stage reads, each once."""
        if stage.reads_all:
            return tuple(other.writes for other in self.stages if other is not stage)
        return tuple(dict.fromkeys(stage.reads.values()))


def load_pipeline(
    file: str | Path,
    *,
    settings: Sequence[str] = (),
    date: str | None = None,
    warehouse: str | None = None,
) -> Pipeline:
    """Read and check a pipeline.

    Args:
        file: The YAML file.
        settings: `key=value`; a parameter, a top-level key, or `stage.key.path`.
        date: The run's date, ISO; else the parameter `date`, else today.
        warehouse: Another warehouse than the file's.

    Raises:
        SparkmineError: with file, line and key path.
    """
    document = read_yaml(Path(file))
    for key in document.values:
        if key not in _TOP:
            raise document.error((key,), f"unknown key{_hint(key, _TOP)}")
    parameters = _mapping(document, "parameters")
    for setting in settings:
        _set(document, parameters, setting)
    parameters["date"] = _date(document, date or parameters.get("date"))
    substitute(document, parameters)
    values = document.values
    name = values.get("pipeline")
    if not isinstance(name, str) or not name.isidentifier():
        raise document.error(("pipeline",), "must be there: a name of letters, digits and _")
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise document.error(("seed",), f"must be a whole number, not {seed!r}")
    root = warehouse or values.get("warehouse", f"warehouse/{name}")
    if not isinstance(root, str) or not root:
        raise document.error(("warehouse",), "must be a folder or a URI")
    spark = _mapping(document, "spark")
    for key, value in spark.items():
        if not isinstance(value, str):
            raise document.error(("spark", key), "Spark settings are text; put it in quotes")
    stages = _stages(document)
    ordered, after = _ordered(document, stages)
    check_together(document, stages)
    pipeline = Pipeline(
        name=name,
        file=Path(file),
        warehouse=root,
        seed=seed,
        date=parameters["date"],
        spark=spark,
        stages=ordered,
        after=after,
    )
    for stage in ordered:
        try:
            stage.check(pipeline.base)
        except SparkmineError as error:
            # The same kind of error, with its place in the file.
            place: Place = ("stages", stages.index(stage))
            text = str(document.error(place, str(error).partition(": ")[2]))
            raise type(error)(text.partition(": ")[2]) from None
    return pipeline


def _mapping(document: Document, key: str) -> dict[str, Any]:
    value = document.values.get(key) or {}
    if not isinstance(value, dict):
        raise document.error((key,), "must be a mapping")
    return dict(value)


def _date(document: Document, value: Any) -> str:
    if value is None:
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        return datetime.date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise document.error(
            ("parameters", "date"), f"{value!r} is no date; write it as 2026-01-31"
        ) from None


def _set(document: Document, parameters: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting}: write key=value")
    value = scalar(text)
    if key in parameters or key == "date":
        parameters[key] = value
        return
    head, *rest = key.split(".")
    if not rest and head in ("seed", "warehouse"):
        document.values[head] = value
        return
    for stage in document.values.get("stages") or []:
        if rest and isinstance(stage, dict) and stage.get("name") == head:
            target = stage
            for part in rest[:-1]:
                target = target.setdefault(part, {})
                if not isinstance(target, dict):
                    raise ConfigError(f"--set {setting}: {part} is not a mapping")
            target[rest[-1]] = value
            return
    known = [*parameters, "seed", "warehouse"]
    blocks = (one for one in document.values.get("stages") or [] if isinstance(one, dict))
    names = [str(one.get("name")) for one in blocks]
    raise ConfigError(
        f"--set {setting}: no parameter or stage {head!r}{_hint(head, [*known, *names])}; "
        f"parameters are {known}, and "
        "STAGE.KEY=VALUE sets a key of a stage"
    )


def _stages(document: Document) -> list[Stage]:
    blocks = document.values.get("stages")
    if not isinstance(blocks, list) or not blocks:
        raise document.error(("stages",), "must be a list of stages")
    found: list[Stage] = []
    names: dict[str, int] = {}
    for index, block in enumerate(blocks):
        place: Place = ("stages", index)
        if not isinstance(block, dict):
            raise document.error(place, "a stage is a mapping with `stage:` and `name:`")
        kind = block.get("stage")
        if not isinstance(kind, str) or kind not in STAGES:
            raise document.error(
                (*place, "stage") if "stage" in block else place,
                f"`stage:` is {kind!r}; the kinds are {', '.join(sorted(STAGES))}"
                f"{_hint(str(kind), list(STAGES))}",
            )
        try:
            stage = STAGES[kind].model_validate(block)
        except ValidationError as error:
            raise _validation(document, place, STAGES[kind], error) from None
        if stage.name in names:
            raise document.error(
                (*place, "name"),
                f"stage {stage.name!r} is there already, as stages[{names[stage.name]}]",
            )
        names[stage.name] = index
        found.append(stage)
    return found


def _validation(
    document: Document, place: Place, kind: type[Stage], error: ValidationError
) -> ConfigError:
    first = error.errors()[0]
    blocks: Any = document.values["stages"]
    block: Any = blocks[place[-1]]
    path: list[str | int] = []
    for part in first["loc"]:
        # pydantic puts the chosen member of a union into the path; the file has no such key.
        if isinstance(block, dict) and part not in block and part == block.get("kind"):
            continue
        key = isinstance(block, dict) and part in block
        item = isinstance(block, list) and isinstance(part, int) and part < len(block)
        if key or item:
            block = cast(Any, block)[part]
        elif first["type"] not in ("missing", "extra_forbidden"):
            break
        path.append(part)
    if first["type"] == "extra_forbidden":
        known = _fields(kind, path[:-1], blocks[place[-1]])
        message = f"unknown key{_hint(str(path[-1]), known)}"
        message += f" (there are {', '.join(sorted(known))})" if known else ""
    elif first["type"] == "missing":
        message = "is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        # What is wrong with a whole block stands in the file, at the line that is named.
        if not (first["type"] == "value_error" and isinstance(first["input"], dict)):
            message = f"{message}; it is {first['input']!r}"[:300]
    return document.error((*place, *path), message)


def _fields(kind: type[Block], path: Sequence[str | int], block: Any) -> list[str]:
    """The keys of the block at `path` in the block of a stage of this kind; empty if it is none."""
    current: Any = kind
    for part in path:
        block = block[part]
        if isinstance(current, type) and issubclass(current, Block):
            current = current.model_fields[str(part)].annotation
        else:  # a value of a mapping, an item of a list
            current = next(iter(typing.get_args(current)[-1:]), None)
        named = block.get("kind") if isinstance(block, dict) else None
        found = _blocks(current)
        apart = [one for one in found if named in _kinds(one)]
        current = next(iter(apart or found), current)
    return list(current.model_fields) if _blocks(current) else []


def _blocks(annotation: Any) -> list[type[Block]]:
    """The blocks among which a value of this type is one."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        return [one for part in typing.get_args(annotation) for one in _blocks(part)]
    return []


def _kinds(block: type[Block]) -> tuple[Any, ...]:
    field = block.model_fields.get("kind")
    return typing.get_args(field.annotation) if field else ()


def _ordered(
    document: Document, stages: list[Stage]
) -> tuple[tuple[Stage, ...], dict[str, tuple[str, ...]]]:
    """Order stages by their tables; the order of the file where tables leave it open."""
    writers: dict[str, str] = {}
    for index, stage in enumerate(stages):
        for table in (stage.writes, *stage.sides):
            if table in writers:
                raise document.error(
                    ("stages", index),
                    f"table {table!r} is written by stage {writers[table]!r} already",
                )
            writers[table] = stage.name
    beside = {table: stage.writes for stage in stages for table in stage.sides}
    after: dict[str, tuple[str, ...]] = {}
    for index, stage in enumerate(stages):
        if stage.reads_all:
            after[stage.name] = tuple(s.name for s in stages if s is not stage)
            continue
        for key, table in stage.reads.items():
            if table in beside:
                raise document.error(
                    ("stages", index, *key.split(".")),
                    f"table {table!r} is written beside {beside[table]!r}, and no input for stages",
                )
            if table not in writers:
                raise document.error(
                    ("stages", index, *key.split(".")),
                    f"no stage writes table {table!r}{_hint(table, list(writers))}",
                )
        after[stage.name] = tuple(dict.fromkeys(writers[t] for t in stage.reads.values()))
    sorter = graphlib.TopologicalSorter(after)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        index = next(i for i, s in enumerate(stages) if s.name == circle[0])
        raise document.error(
            ("stages", index), f"stages read each other's tables: {' → '.join(reversed(circle))}"
        ) from None
    by_name = {stage.name: stage for stage in stages}
    position = {stage.name: i for i, stage in enumerate(stages)}
    ordered: list[Stage] = []
    ready = list(sorter.get_ready())
    while ready:
        ready.sort(key=lambda name: position[name])
        name = ready.pop(0)
        ordered.append(by_name[name])
        sorter.done(name)
        ready.extend(sorter.get_ready())
    return tuple(ordered), after


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
