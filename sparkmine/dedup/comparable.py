"""Values of any type as Spark groups and orders them, and what tells equal ones apart.

Spark takes null for equal to null, NaN to NaN and -0.0 to 0.0, inside arrays and structs too. It
neither groups nor orders maps and variants: a map is compared by its entries in the order of their
keys, a variant by its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkmine.expr.columns import as_json, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType


def is_comparable(kind: DataType) -> bool:
    """Whether Spark groups and orders values of this type as they are."""
    from pyspark.sql import types as t

    return not _has(kind, t.MapType | t.VariantType)


def comparable(value: Column, kind: DataType) -> Column:
    """The value in a type that Spark groups and orders."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as t

    if is_comparable(kind):
        return value
    match kind:
        case t.ArrayType():
            element = kind.elementType
            return F.transform(value, lambda item: comparable(item, element))
        case t.MapType():
            key, inner = kind.keyType, kind.valueType
            entries = F.transform(
                F.map_entries(value),
                lambda entry: F.struct(
                    comparable(entry["key"], key), comparable(entry["value"], inner)
                ),
            )
            return F.array_sort(entries)
        case t.StructType():
            fields = [
                comparable(value.getField(f.name), f.dataType).alias(f"f{place}")
                for place, f in enumerate(kind.fields)
            ]
            return F.when(value.isNotNull(), F.struct(*fields))
    return value.cast("string")


def told_apart(name: str, kind: DataType) -> Column | None:
    """What differs between values of a column that Spark takes for equal; None if nothing does.

    Of 0.0 and -0.0 the first has the greater one.
    """
    from pyspark.sql import functions as F
    from pyspark.sql import types as t

    value = F.col(quoted(name))
    if not _has(kind, t.FloatType | t.DoubleType | t.MapType) and not _collated(kind):
        return None
    if isinstance(kind, t.FloatType | t.DoubleType):
        return F.when(value == 0, value.cast("string"))
    return value.cast("binary") if isinstance(kind, t.StringType) else as_json(value)


def _has(kind: DataType, wanted: object) -> bool:
    """Whether a type is, or has inside, one of those wanted."""
    return any(isinstance(part, wanted) for part in _parts(kind))  # type: ignore[arg-type]


def _collated(kind: DataType) -> bool:
    """Whether there is text in which different letters may be equal."""
    from pyspark.sql import types as t

    texts = (part for part in _parts(kind) if isinstance(part, t.StringType))
    return any(not text.isUTF8BinaryCollation() for text in texts)


def _parts(kind: DataType) -> list[DataType]:
    """The type, and all types inside it."""
    from pyspark.sql import types as t

    inner: list[DataType] = []
    match kind:
        case t.ArrayType():
            inner = [kind.elementType]
        case t.MapType():
            inner = [kind.keyType, kind.valueType]
        case t.StructType():
            inner = [field.dataType for field in kind.fields]
    return [kind, *(part for one in inner for part in _parts(one))]
