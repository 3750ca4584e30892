"""A decision tree that is an expression, as arrays of nodes again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparkmine.expr import Expr
from sparkmine.expr.nodes import Case, Cast, Column, Compare, Item, Literal
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.supervised.nodes import Nodes
from sparkmine.mine.supervised.trees_model import TreesModel
from sparkmine.model import Task


def tree_of(model: ExpressionModel, task: Task, widths: Mapping[str, int]) -> TreesModel | None:
    """The tree that `DecisionTree` wrote as an expression; None if it is something else.

    Args:
        widths: elements of the columns that are arrays.
    """
    if model.details.get("method") != "decision_tree":
        return None
    expression = model.expression
    columns = tuple((name, widths.get(name, 1)) for name in sorted(expression.columns))
    if not columns:  # one leaf, which reads nothing
        return None
    ends = np.cumsum([0, *(width for _, width in columns)]).tolist()
    first = dict(zip((name for name, _ in columns), ends, strict=False))
    # Around the tree stands what gives rows with gaps no prediction.
    match expression:
        case Case(values=(Literal(value=None),), otherwise=tree):
            pass
        case _:
            return None
    rows: list[list[float]] = []  # left, right, feature, threshold, value
    _add(tree, first, rows)
    left, right, feature, threshold, value = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    nodes = Nodes(
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        feature=feature.astype(np.int32),
        threshold=threshold,
        value=value[:, None],
        roots=np.zeros(1, np.int32),
    )
    return TreesModel.of(nodes, [1.0], columns, task, dict(model.details))


def _add(tree: Expr, first: Mapping[str, int], rows: list[list[float]]) -> int:
    """Add the nodes of a tree; the place of its root."""
    place = len(rows)
    if isinstance(tree, Literal):
        assert isinstance(tree.value, float)
        rows.append([-1, -1, 0, 0.0, tree.value])
        return place
    assert isinstance(tree, Case)
    (question,), (yes,) = tree.conditions, tree.values
    assert isinstance(question, Compare) and isinstance(question.right, Literal)
    assert isinstance(question.right.value, float)
    rows.append([-1, -1, _element(question.left, first), question.right.value, 0.0])
    rows[place][0] = _add(yes, first, rows)
    rows[place][1] = _add(tree.otherwise, first, rows)
    return place


def _element(number: Expr, first: Mapping[str, int]) -> int:
    """Which element of the matrix is compared."""
    assert isinstance(number, Cast)
    if isinstance(number.operand, Item):
        assert isinstance(number.operand.operand, Column)
        return first[number.operand.operand.name] + number.operand.index
    assert isinstance(number.operand, Column)
    return first[number.operand.name]
