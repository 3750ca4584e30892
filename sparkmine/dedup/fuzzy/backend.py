"""Splink's Spark backend, kept to the ways of this project.

Splink would write each of its tables as Parquet files into a checkpoint folder. Here they are
cuts (`dedup/checkpoint.py`), given up at the end together with the views that Splink makes.

The rounds of expectation maximisation read the counts of agreement patterns, some thousand rows,
in Splink's own SQL. A Spark job for each of them costs seconds and sums in any order; so the
counts come to the driver, sorted, and Splink's DuckDB backend runs the rounds in one thread:
the same counts give the same model to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from splink.backends.duckdb import DuckDBAPI
from splink.internals.pipeline import CTEPipeline
from splink.internals.spark.database_api import SparkAPI
from splink.internals.spark.jar_location import get_scala_udfs, similarity_jar_location

from sparkmine.dedup.checkpoint import cut, release

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PAIRS = "__splink__blocked_id_pairs"
_VECTORS = "__splink__df_comparison_vectors"
_FREQUENCIES = "__splink__df_tf_"
_PATTERNS = "__splink__agreement_pattern_counts"
_ROUND = "__splink__m_u_counts"
# Of what Splink's jar has, those that our comparisons use.
_FUNCTIONS = ("jaro_winkler", "damerau_levenshtein")


class Engine(SparkAPI):
    """A backend for one linkage.

    Attributes:
        scoring: Whether pairs are formed for their scores, and not to train.
        pairs: How many pairs were formed for their scores.
        small: What runs in the driver.
    """

    def __init__(self, spark: SparkSession) -> None:
        super().__init__(
            spark_session=spark,
            # Never used: nothing gets to Splink's own cuts.
            break_lineage_method="persist",
            register_udfs_automatically=False,
        )
        add_functions(spark)
        self.small = DuckDBAPI(connection=quiet_connection(threads=1))
        self.scoring, self.pairs = False, 0
        self._kept: list[DataFrame] = []
        self._views: list[str] = []

    def sql_pipeline_to_splink_dataframe(self, pipeline: CTEPipeline) -> Any:
        """Run a query where it belongs."""
        name = pipeline.output_table_name
        if name == _ROUND:
            return self.small.sql_pipeline_to_splink_dataframe(pipeline)
        found = super().sql_pipeline_to_splink_dataframe(pipeline)
        if name == _PATTERNS:
            counts = found.as_pyarrow_table()
            counts = counts.sort_by([(column, "ascending") for column in counts.column_names])
            found = self.small.register(counts, table_name=f"patterns_{len(self._created_tables)}")
            found.templated_name = _PATTERNS
        return found

    def _table_registration(self, input: Any, table_name: str) -> None:
        self._views.append(table_name)
        super()._table_registration(input, table_name)

    def _cleanup_for_execute_sql(
        self, table: DataFrame, templated_name: str, physical_name: str
    ) -> Any:
        self._views.append(physical_name)
        return super()._cleanup_for_execute_sql(table, templated_name, physical_name)

    def _break_lineage_and_repartition(
        self, df: DataFrame, templated_name: str, physical_name: str
    ) -> DataFrame:
        from pyspark.sql import functions as F

        if templated_name == _PAIRS and self.scoring:
            df, figures = cut(df, pairs=F.count(F.lit(1)))
            self.pairs = figures["pairs"]
        elif templated_name == _VECTORS or templated_name.startswith(_FREQUENCIES):
            df, _ = cut(df)
        else:
            return df
        self._kept.append(df)
        return df

    def close(self) -> None:
        """Give up all that was kept, and the views."""
        for df in self._kept:
            release(df)
        for name in self._views:
            self.spark.catalog.dropTempView(name)
        self.small.duckdb_con.close()
        self.duckdb_con.close()


def add_functions(spark: SparkSession) -> None:
    """Register Splink's Java functions that Spark does not have, under Splink's names.

    The jar goes to executors as any added jar does. It is the one for Spark 4 (Scala 2.13).
    """
    spark.sql(f"ADD JAR '{similarity_jar_location()}'")
    for name, *where in get_scala_udfs():
        if name in _FUNCTIONS:
            spark.udf.registerJavaFunction(name, *where)


def quiet_connection(threads: int | None = None) -> Any:
    """A DuckDB in memory that writes no file and loads nothing."""
    import duckdb

    settings: dict[str, Any] = {
        "temp_directory": "",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads:
        settings["threads"] = threads
    return duckdb.connect(":memory:", config=settings)
