"""Where a row is placed by its keys: what draws folds and parts of rows."""

from __future__ import annotations

from collections.abc import Sequence

from sparkmine.expr.nodes import Expr, col, function

# A hash of 32 bits modulo this prime is a number in [0, 1) for practical purposes.
_PRIME = 2_147_483_629


def place_of(keys: Sequence[str], salt: str) -> Expr:
    """A number in [0, 1) that only depends on the keys and the salt, by Spark's Murmur3."""
    texts = [function("coalesce", col(name).cast("string"), "") for name in keys]
    # The salt comes first: what differs early differs in all bits of the hash.
    named = function("concat", salt, *(x for text in texts for x in ("/", text)))
    return function("pmod", function("hash", named), _PRIME) / float(_PRIME)
