"""Near-duplicate texts, against pyspark.ml's MinHashLSH, datasketch on one core, and text-dedup.

Documents of 30 to 120 words, of which 20 % are near copies of another one. Near is an exact
Jaccard similarity of at least 0.6 of their runs of three words. Wanted at 100,000 documents: 6
times faster than `approxSimilarityJoin` with 5 tables and distance 0.4, at a recall that is not
lower and a precision of at least 0.99 against exact Jaccard. Wanted at 2 million: within 12 GB, at
a cost per document within 40 % of that at 100,000.

text-dedup, by --text-dedup PYTHON, which has it and PyArrow in its own environment, gives clusters:
its recall is that of the exact pairs whose ends are in one cluster, its precision that of clusters'
pairs whose ends are connected by exact pairs.

    python benchmarks/bench_dedup_near.py [--rows 100000] [--runs 3] [--peers spark datasketch]
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import PeakMemory, bench_session, commit, median_seconds, sizes, table

from sparkmine.dedup.near import Found, Matching, find

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

THRESHOLD = 0.6
WORDS = 50_000
COPIES = 0.2

Pairs = set[tuple[int, int]]


def documents(rows: int, seed: int = 5) -> Iterator[pa.Table]:
    """[id, text]: words by Zipf's law; a copy is a document of its chunk with words replaced."""
    rng = np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, WORDS + 1)
    running = np.cumsum(chances / chances.sum())
    names = np.array(
        [f"{w:x}".translate(str.maketrans("0123456789", "ghijklmnop")) for w in range(WORDS)]
    )
    begin = 0
    for size in sizes(rows, 50_000):
        lengths = rng.integers(30, 121, size)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        drawn = np.searchsorted(running, rng.random(int(offsets[-1])))
        words = [drawn[a:b] for a, b in itertools.pairwise(offsets)]
        copies = rng.permutation(size)[: int(COPIES * size)]
        others = np.setdiff1d(np.arange(size), copies)
        for place in copies:
            changed = words[rng.choice(others)].copy()
            replaced = rng.random(len(changed)) < rng.random() * 0.12
            changed[replaced] = rng.integers(0, WORDS, int(replaced.sum()))
            words[place] = changed
        texts = [" ".join(names[chosen].tolist()) for chosen in words]
        yield pa.table({"id": np.arange(begin, begin + size), "text": texts})
        begin += size


def exact_pairs(texts: list[str], similarity: float) -> Pairs:
    """All pairs of this similarity, by a sparse matrix product: pairs that share a shingle."""
    from scipy.sparse import csr_array

    known: dict[tuple[str, ...], int] = {}
    rows, columns = [], []
    for number, text in enumerate(texts):
        words = text.split()
        shingles = {
            known.setdefault(run, len(known))
            for run in zip(words, words[1:], words[2:], strict=False)
        }
        rows.extend([number] * len(shingles))
        columns.extend(shingles)
    shape = len(texts), len(known)
    sets = csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
    size = np.diff(sets.indptr)
    found: Pairs = set()
    for begin in range(0, len(texts), 2000):
        shared = (sets[begin : begin + 2000] @ sets.T).tocoo()
        a, b = shared.row + begin, shared.col
        near = (a < b) & (shared.data >= similarity * (size[a] + size[b] - shared.data))
        found.update(zip(a[near].tolist(), b[near].tolist(), strict=True))
    return found


def of_sparkmine(found: Found) -> Pairs:
    """The verified pairs by id, and those of equal texts."""
    pairs, members = found.pairs().toPandas(), found.members.toPandas()
    verified = pairs.merge(members, left_on="a", right_on="key")
    verified = verified.merge(members, left_on="b", right_on="key")
    equal = members.merge(members, on="key")
    both = {
        *zip(verified["id_x"], verified["id_y"], strict=True),
        *zip(equal["id_x"], equal["id_y"], strict=True),
    }
    return {(min(pair), max(pair)) for pair in both if pair[0] != pair[1]}


def of_spark_ml(df: DataFrame) -> tuple[float, Pairs]:
    """`approxSimilarityJoin` of the documents with themselves."""
    from pyspark.ml.feature import HashingTF, MinHashLSH, NGram, Tokenizer
    from pyspark.sql import functions as F

    words = Tokenizer(inputCol="text", outputCol="words").transform(df)
    grams = NGram(n=3, inputCol="words", outputCol="grams").transform(words)
    hashed = HashingTF(inputCol="grams", outputCol="features", binary=True, numFeatures=1 << 20)
    features = hashed.transform(grams).select("id", "features")
    began = time.perf_counter()
    model = MinHashLSH(inputCol="features", outputCol="h", numHashTables=5, seed=1).fit(features)
    pairs = model.approxSimilarityJoin(features, features, 1 - THRESHOLD, distCol="distance")
    ids = pairs.select(F.col("datasetA.id").alias("a"), F.col("datasetB.id").alias("b"))
    found = ids.where("a < b").toPandas()
    return time.perf_counter() - began, set(
        zip(found["a"].tolist(), found["b"].tolist(), strict=True)
    )


def of_datasketch(texts: list[str]) -> tuple[float, Pairs]:
    """Signatures and an index in one process, as its documentation shows."""
    from datasketch import MinHash, MinHashLSH

    began = time.perf_counter()
    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    found: Pairs = set()
    for number, text in enumerate(texts):
        words = text.split()
        signature = MinHash(num_perm=128)
        signature.update_batch(
            {" ".join(run).encode() for run in zip(words, words[1:], words[2:], strict=False)}
        )
        found.update((other, number) for other in index.query(signature))
        index.insert(number, signature)
    return time.perf_counter() - began, found


def of_text_dedup(python: str, texts: list[str]) -> tuple[float, dict[int, int]]:
    """Its seconds, started before the clock, and the cluster of each text that has a near copy."""
    script = Path(__file__).with_name("text_dedup_clusters.py")
    with tempfile.TemporaryDirectory() as folder:
        file, clusters = Path(folder) / "texts.parquet", Path(folder) / "clusters.parquet"
        pq.write_table(pa.table({"text": texts}), file)
        command = [python, str(script), str(file), str(THRESHOLD), str(clusters)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found = pq.read_table(clusters)
    seconds = float(json.loads(done.stdout.splitlines()[-1])["seconds"])
    return seconds, dict(zip(*(c.to_pylist() for c in found.columns), strict=True))


def quality_of_clusters(name: str, seconds: float, found: dict[int, int], truth: Pairs) -> None:
    together = {pair for pair in truth if found.get(pair[0], -1) == found.get(pair[1], -2)}
    graph = nx.Graph(truth)
    part = {n: k for k, nodes in enumerate(nx.connected_components(graph)) for n in nodes}
    members = defaultdict(list)
    for place, cluster in found.items():
        members[cluster].append(place)
    pairs = [p for places in members.values() for p in itertools.combinations(places, 2)]
    right = sum(part.get(a, -1) == part.get(b, -2) for a, b in pairs)
    show(name, seconds, len(together) / len(truth), right / max(len(pairs), 1))


def show(name: str, seconds: float, recall: float, precision: float) -> None:
    print(
        f"  {name:22} {seconds:7.2f} s  recall {recall:.4f}  precision {precision:.4f}", flush=True
    )


def quality(name: str, seconds: float, found: Pairs, truth: Pairs) -> None:
    recall, precision = len(found & truth) / len(truth), len(found & truth) / max(len(found), 1)
    show(name, seconds, recall, precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=["spark", "datasketch"])
    parser.add_argument("--text-dedup", metavar="PYTHON")
    parser.add_argument("--memory", default="4g", help="the driver's, which runs the tasks too")
    options = parser.parse_args()
    spark = bench_session(options.memory)
    snapshot = table(spark, f"texts_{options.rows}", lambda: documents(options.rows))
    df = snapshot.dataframe(spark)
    matching = Matching.of(THRESHOLD, "word", 3, 0.99)

    def ours() -> Found:
        return find(df, "id", "text", matching, snapshot.rows)

    with PeakMemory() as peak:
        seconds = median_seconds(ours, options.runs, warm=1 if options.runs > 1 else 0)
    print(f"near copies among {options.rows:,} documents, commit {commit()}, {matching.banding}")
    print(
        f"  {seconds:.2f} s, {1e6 * seconds / options.rows:.1f} µs a document, "
        f"peak {peak.bytes / 2**30:.1f} GiB"
    )
    found = ours()
    print(f"  {dict(found.figures)}")
    if options.rows > 200_000:
        return
    texts = df.orderBy("id").toPandas()["text"].tolist()
    truth = exact_pairs(texts, THRESHOLD)
    print(f"  {len(truth):,} pairs by exact Jaccard")
    quality("sparkmine", seconds, of_sparkmine(found), truth)
    if "spark" in options.peers:
        quality("pyspark.ml MinHashLSH", *of_spark_ml(df), truth)
    if "datasketch" in options.peers:
        quality("datasketch, one core", *of_datasketch(texts), truth)
    if options.text_dedup:
        quality_of_clusters("text-dedup", *of_text_dedup(options.text_dedup, texts), truth)


if __name__ == "__main__":
    main()
