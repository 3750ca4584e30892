"""The rules of bench_contract.py by Great Expectations, in an environment of its own.

It says which rules hold, and how many values break each; it splits no rows. Called by
bench_contract.py --great-expectations PYTHON, with the folder of the table's Parquet files.
"""

from __future__ import annotations

import json
import sys
import time

import great_expectations as gx
from great_expectations import expectations as e
from pyspark.sql import SparkSession

SHOPS = [f"shop {i}" for i in range(200)]


def rules() -> list[e.Expectation]:
    between, length = e.ExpectColumnValuesToBeBetween, e.ExpectColumnValueLengthsToBeBetween
    matches, there = e.ExpectColumnValuesToMatchRegex, e.ExpectColumnValuesToNotBeNull
    return [
        *(between(column=f"f{i}", min_value=0) for i in range(5)),
        there(column="id"),
        between(column="id", min_value=0),
        between(column="i0", min_value=0),
        between(column="i0", max_value=100),
        between(column="i1", max_value=1000),
        matches(column="s0", regex=r"^item-\d+$"),
        length(column="s0", min_value=5),
        length(column="s1", max_value=12),
        e.ExpectColumnValuesToBeInSet(column="shop", value_set=SHOPS),
        there(column="mail"),
        matches(column="mail", regex=r"^[^@\s]+@[^@\s]+\.[a-z]+$"),
        length(column="note", max_value=40),
        there(column="at"),
        between(column="both", max_value=2000, strict_max=True),
        between(column="year", min_value=2019),
    ]


def main() -> None:
    folder, rows = sys.argv[1], int(sys.argv[2])
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    df = spark.read.parquet(folder).selectExpr("*", "f0 + f1 as both", "year(day) as year")
    assert df.count() == rows
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_spark("spark").add_dataframe_asset("orders")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("rules"))
    for rule in rules():
        suite.add_expectation(rule)
    definition = gx.ValidationDefinition(name="run", data=batch, suite=suite)
    began = time.perf_counter()
    found = definition.run(batch_parameters={"dataframe": df})
    seconds = time.perf_counter() - began
    failed = [one for one in found.results if one.exception_info.get("raised_exception")]
    assert not failed, failed[0]
    assert len(found.results) == 20
    print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
