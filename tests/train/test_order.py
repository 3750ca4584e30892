"""The order of an epoch: who reads what, proven by listing every row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sparkmine.train.order import Order, Rest, share

UNEVEN = (1, 7, 0, 400, 33, 259, 2)


def rows_of(order: Order, epoch: int, rank: int, rest: Rest | None = None) -> list[int]:
    """The rows that a rank reads, counted through the blocks as listed, in reading order."""
    starts = np.concatenate([[0], np.cumsum(order.rows)])
    read: list[int] = []
    for piece in order.pieces(epoch, rank, rest):
        window = np.concatenate(
            [np.arange(starts[block], starts[block + 1]) for block in piece.blocks]
        )
        read.extend(window[piece.take].tolist())
    return read


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("window_rows", [1, 100, 10_000])
def test_every_epoch_reads_each_row_once(ranks: int, window_rows: int) -> None:
    order = Order(rows=UNEVEN, ranks=ranks, seed=5, window_rows=window_rows)
    total = sum(UNEVEN)
    left_out: list[set[int]] = []
    for epoch in range(4):
        shares = [rows_of(order, epoch, rank) for rank in range(ranks)]
        assert {len(rows) for rows in shares} == {total // ranks}
        read = [row for rows in shares for row in rows]
        assert len(read) == len(set(read))
        left_out.append(set(range(total)) - set(read))
        assert len(left_out[-1]) == total % ranks <= ranks - 1
        assert left_out[-1] == set(order.left_out(epoch).tolist())
    for before, after in itertools.pairwise(left_out):
        assert not before & after


def test_the_order_is_a_function_of_seed_and_epoch_not_of_the_ranks() -> None:
    whole = rows_of(Order(rows=UNEVEN, ranks=1, seed=5, window_rows=300), 2, 0)
    halves = Order(rows=UNEVEN, ranks=2, seed=5, window_rows=300)
    assert rows_of(halves, 2, 0) + rows_of(halves, 2, 1) == whole
    assert whole != rows_of(Order(rows=UNEVEN, ranks=1, seed=5, window_rows=300), 3, 0)
    assert whole != rows_of(Order(rows=UNEVEN, ranks=1, seed=6, window_rows=300), 2, 0)


def test_rows_of_one_block_are_mixed_with_others() -> None:
    order = Order(rows=(50,) * 20, ranks=1, seed=0, window_rows=500)
    first = np.array(rows_of(order, 0, 0)[:100]) // 50
    assert len(set(first.tolist())) > 5


def test_validation_shares_cover_all_rows() -> None:
    for total in (0, 1, 2, 10, 11):
        bounds = [share(total, 3, rank) for rank in range(3)]
        assert bounds[0][0] == 0
        assert bounds[-1][1] == total
        assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))


@pytest.mark.parametrize("then", [1, 2, 3, 5])
def test_a_cut_epoch_goes_on_with_the_rows_not_yet_read(then: int) -> None:
    """Also twice, and with another number of ranks each time."""
    total, epoch = sum(UNEVEN), 3
    order = Order(rows=UNEVEN, ranks=3, seed=5, window_rows=100)
    undisturbed = [rows_of(order, epoch, rank) for rank in range(3)]
    read = [row for rank in range(3) for row in undisturbed[rank][:40]]
    rest = order.after(order.whole, 40)
    assert rest.rows == total - total % 3 - 3 * 40

    now = Order(rows=UNEVEN, ranks=then, seed=5, window_rows=100)
    second = [rows_of(now, epoch, rank, rest) for rank in range(then)]
    assert {len(rows) for rows in second} == {rest.rows // then}
    if then == 3:
        assert second == [rows[40:] for rows in undisturbed]
    read += [row for rows in second for row in rows[:30]]
    rest = now.after(rest, 30)
    last = Order(rows=UNEVEN, ranks=2, seed=5, window_rows=100)
    read += [row for rank in range(2) for row in rows_of(last, epoch, rank, rest)]

    assert len(read) == len(set(read))
    assert total - len(read) <= (3 - 1) + (then - 1) + (2 - 1)
    assert last.after(rest, rest.rows // 2).rows == 0
