"""Read a YAML file strictly: no tags, no aliases, no duplicate keys, every value with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sparkmine.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 40

Place = tuple[str | int, ...]
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


@dataclass
class Document:
    """The values of a file, and the line (from 1) of every key and list item."""

    file: Path
    values: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)

    def error(self, place: Place, message: str) -> ConfigError:
        """An error that names the file, the line and the key path."""
        line = next(
            (self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), 1
        )
        where = f"{self.file}:{line}"
        return ConfigError(
            f"{where}: {path_text(place)}: {message}" if place else f"{where}: {message}"
        )


def path_text(place: Place) -> str:
    """A key path as people write it: `stages[2].columns.week`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_yaml(file: Path) -> Document:
    """Parse the file; the top level must be a mapping.

    Raises:
        ConfigError: with file and line.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{file} has {len(text)} bytes; a pipeline has at most {MAX_BYTES}")
    try:
        _check_events(file, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None
    document = Document(file, {})
    if root is None:
        raise ConfigError(f"{file} is empty; see conf/retail.yaml for a pipeline")
    values = _value(document, root, ())
    if not isinstance(values, dict):
        raise ConfigError(
            f"{file}:1: the top level must be a mapping with `pipeline:` and `stages:`"
        )
    document.values = values
    return document


def _check_events(file: Path, text: bytes) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(
                f"{file}:{line}: anchors and aliases are not allowed; use `parameters:` and "
                "${name}"
            )
        tag = getattr(event, "tag", None)
        if tag:
            raise ConfigError(f"{file}:{line}: the tag {tag} is not allowed; write plain YAML")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"{file}:{line}: nested deeper than {MAX_DEPTH} levels")


def _value(document: Document, node: yaml.Node, place: Place) -> Any:
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node)
            if not isinstance(key, str):
                raise ConfigError(
                    f"{document.file}:{line}: {path_text(place) or 'top level'}: the key "
                    f"{key_node.value!r} is no text; put it in quotes"
                )
            inner = (*place, key)
            document.lines.setdefault(inner, line)
            if key in found:
                raise document.error(
                    inner,
                    f"the key stands twice; the first is in line "
                    f"{document.lines[inner]}, the second in line {line}",
                )
            found[key] = _value(document, value_node, inner)
        return found
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            inner = (*place, index)
            document.lines[inner] = item.start_mark.line + 1
            items.append(_value(document, item, inner))
        return items
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = yaml.SafeLoader("")
    try:
        # Dates stay text: settings such as ${date} are put into SQL.
        if node.tag.endswith(":timestamp"):
            return node.value
        return loader.construct_object(node)
    finally:
        loader.dispose()


def scalar(text: str) -> Any:
    """The value of `--set key=value`: a YAML scalar or a list in brackets."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float | list) else text


def substitute(document: Document, parameters: Mapping[str, Any]) -> None:
    """Replace `${name}` in all texts below `stages`; a text that is one placeholder keeps its type.

    Raises:
        ConfigError: an unknown name, with its place.
    """
    resolved = dict(parameters)
    for name, value in parameters.items():
        resolved[name] = _replaced(document, value, ("parameters", name), parameters)

    def walk(value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*place, index)) for index, item in enumerate(value)]
        # A query's own settings are put into its SQL later; here only into the YAML.
        return _replaced(document, value, place, resolved)

    for key in document.values:
        if key not in ("parameters",):
            document.values[key] = walk(document.values[key], (key,))


def _replaced(document: Document, value: Any, place: Place, parameters: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or "${" not in value:
        return value

    def one(match: re.Match[str]) -> Any:
        name = match.group(1)
        if name not in parameters:
            raise document.error(
                place, f"${{{name}}} is not among `parameters:`; there are {sorted(parameters)}"
            )
        return parameters[name]

    whole = _PLACEHOLDER.fullmatch(value)
    return one(whole) if whole else _PLACEHOLDER.sub(lambda m: str(one(m)), value)
