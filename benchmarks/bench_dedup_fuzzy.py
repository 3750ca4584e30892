"""How well fuzzy records finds people with known truth, by how noisy their copies are.

Made-up people, half of them with one record, the others with two to four; the copies have typos,
swapped names, gaps, other addresses (`sparkmine.testing.people` says how many). Wanted at moderate
noise: F1 of at least 0.98, of pairs and of whole clusters. The settings are the same for all.

    python benchmarks/bench_dedup_fuzzy.py [--rows 20000] [--noise low moderate high]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import pyarrow as pa
from common import PeakMemory, bench_session, commit, table

import sparkmine as sm
from sparkmine.dedup.fuzzy import Comparison, Linkage, Training
from sparkmine.evaluate.clusters import pairwise, whole_clusters
from sparkmine.testing.people import NOISE, people

LINKAGE = Linkage(
    id="id",
    blocking=(("born",), ("postcode",), ("email",), ("phone",), ("first_name", "surname")),
    comparisons=(
        Comparison(kind="full_name", columns=("first_name", "surname")),
        Comparison(kind="date", columns=("born",)),
        Comparison(kind="levenshtein", columns=("street",), thresholds=(1, 4)),
        Comparison(kind="exact", columns=("city",), term_frequency=True),
        Comparison(kind="postcode", columns=("postcode",)),
        Comparison(kind="email", columns=("email",)),
        Comparison(kind="phone", columns=("phone",)),
    ),
    training=Training(
        rules=(("born",), ("first_name", "surname")),
        certain=(("email",), ("born", "surname")),
        recall=0.8,
    ),
    # An email is made of the name: namesakes with one name before the @ come to 0.97.
    threshold=0.99,
    seed=1,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--noise", nargs="+", default=list(NOISE), choices=list(NOISE))
    asked = parser.parse_args()
    spark = bench_session(memory="3g")
    print(f"{asked.rows:,} records of people, commit {commit()}; precision, recall, F1")
    for noise in asked.noise:

        def chunks(noise: str = noise) -> Iterator[pa.Table]:
            yield people(asked.rows, noise)

        snapshot = table(spark, f"people_{noise}_{asked.rows}", chunks)
        began = time.perf_counter()
        with PeakMemory() as peak:
            found = sm.dedup.fuzzy_records(snapshot, LINKAGE, spark=spark)
            seconds = time.perf_counter() - began
        truth = snapshot.dataframe(spark).select("id", "truth").join(found.clusters, "id").toArrow()
        columns = [truth[name].to_pylist() for name in ("truth", "cluster")]
        pairs, clusters = pairwise(*columns), whole_clusters(*columns)
        print(
            f"  {noise:8}  pairs {pairs.precision:.4f} {pairs.recall:.4f} {pairs.f1:.4f}"
            f"  clusters {clusters.precision:.4f} {clusters.recall:.4f} {clusters.f1:.4f}"
            f"  {found.figures['pairs_compared']:,} pairs compared, {seconds:.1f} s, "
            f"peak {peak.bytes / 2**30:.1f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
