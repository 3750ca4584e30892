"""Submitted by the tests: link made-up people, and say on one line how well."""

from __future__ import annotations

import json

from sparkmine import session
from sparkmine.dedup.fuzzy import Comparison, Linkage, Training, fuzzy_records
from sparkmine.evaluate.clusters import pairwise
from sparkmine.testing.people import people

LINKAGE = Linkage(
    id="id",
    blocking=(("born",), ("email",)),
    comparisons=(
        Comparison(kind="full_name", columns=("first_name", "surname")),
        Comparison(kind="date", columns=("born",)),
        Comparison(kind="email", columns=("email",)),
    ),
    training=Training(rules=(("born",), ("email",)), prior=0.002, sample_pairs=20_000),
)


def main() -> None:
    spark = session("linked")
    table = people(300, "low", seed=4)
    found = fuzzy_records(spark.createDataFrame(table).repartition(4), LINKAGE)
    clusters = dict(found.clusters.collect())
    named = [clusters[id] for id in table["id"].to_pylist()]
    said = {"f1": pairwise(table["truth"].to_pylist(), named).f1, "rows": found.figures["rows"]}
    print("RESULT " + json.dumps(said))


if __name__ == "__main__":
    main()
