"""Parquet files of one source, which must have the same columns.

Spark takes the columns of one file for those of all: what others have beside them is left out, what
they lack is null, and another type ends the job while it runs. So the footer of every file is read
here, by threads of the driver's JVM and as Spark reads it; that of a folder of thousands takes
seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkmine.clean.text_sources import check_folders, compare
from sparkmine.errors import DataError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_THREADS = "16"


def from_parquet_files(
    spark: SparkSession,
    path: str,
    options: Mapping[str, str],
    declared: Sequence[str],
    allow_new: bool,
) -> DataFrame:
    """The rows of all files; a new column that a file lacks is null in its rows.

    Raises:
        SourceColumnsError: a file has other columns than declared, or than another file; names the
            file and the column.
        DataError: a file that is no Parquet, or is damaged.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    reader = spark.read.options(**options)
    try:
        df = reader.parquet(path)
        relation = df._jdf.queryExecution().analyzed().collectLeaves().head().relation()
        folders = list(relation.partitionSchema().fieldNames())
        schemas = _schemas(spark, relation.location().allFiles())
    except (Py4JJavaError, PySparkException) as error:
        lines = [line for line in str(error).splitlines() if "Could not read footer" in line]
        lines += [line for line in str(error).splitlines() if "is not a Parquet file" in line]
        if not lines:
            raise
        raise DataError(
            f"{path}: a file of it cannot be read ({lines[-1][:400]}); write it again, or take it "
            "out of the source"
        ) from None
    if _same_columns(schemas, folders, declared, path, allow_new):
        return df
    return reader.option("mergeSchema", "true").parquet(path)


def _same_columns(
    schemas: Mapping[str, StructType],
    folders: list[str],
    declared: Sequence[str],
    path: str,
    allow_new: bool,
) -> bool:
    """Whether all files have the same columns, in whatever order."""
    known: dict[str, tuple[str, str]] = {}  # the type of a column, and the first file that has it
    for file, schema in schemas.items():
        check_folders(schema.names, folders, path)
        compare([*schema.names, *folders], list(declared), file, allow_new)
        for field in schema.fields:
            found = field.dataType.simpleString()
            kind, first = known.setdefault(field.name, (found, file))
            if kind != found:
                raise SourceColumnsError(
                    f"{file}: column {field.name!r} is {found}, in {first} it is {kind}; read them "
                    "by stages of their own, or write them again with one type"
                )
    return all(len(schema.names) == len(known) for schema in schemas.values())


def _schemas(spark: SparkSession, files: Any) -> dict[str, StructType]:
    """One file for each schema that there is, in the order of their names."""
    from pyspark.sql.types import StructType

    jvm: Any = spark.sparkContext._jvm
    state = spark._jsparkSession.sessionState()
    conf = state.newHadoopConf()
    conf.set("parquet.metadata.read.parallelism", _THREADS)
    parquet = jvm.org.apache.spark.sql.execution.datasources.parquet
    convert = parquet.ParquetToSparkSchemaConverter(state.conf())
    statuses = jvm.java.util.ArrayList()
    for number in range(files.size()):
        # Summaries of folders, which some writers leave, have no rows.
        if not files.apply(number).getPath().getName().startswith("_"):
            statuses.add(files.apply(number))
    read = jvm.org.apache.parquet.hadoop.ParquetFileReader.readAllFootersInParallel
    found: dict[str, str] = {}
    for footer in read(conf, statuses, True):
        schema = parquet.ParquetFileFormat.readSchemaFromFooter(footer, convert).json()
        file = footer.getFile().toString()
        found[schema] = min(found.get(schema, file), file)
    by_file = sorted((file, schema) for schema, file in found.items())
    return {file: StructType.fromJson(json.loads(schema)) for file, schema in by_file}
