"""Clusters of bench_dedup_near.py's documents by text-dedup, in an environment of its own.

Called by bench_dedup_near.py --text-dedup PYTHON, with a Parquet file of texts, a similarity and
where to write [place, cluster] of the texts that have a near copy. Candidates are verified by their
exact similarity, as ours are; its workers use all cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq
from text_dedup import minhash
from text_dedup.config.algorithms import MinHashAlgorithmConfig
from text_dedup.config.base import Config
from text_dedup.config.debug import DebugConfig
from text_dedup.config.io import LocalInputConfig, OutputConfig


def main() -> None:
    texts, similarity, clusters = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        config = Config.model_construct(
            input=LocalInputConfig(
                read_arguments={
                    "path": "parquet",
                    "data_files": texts,
                    "split": "train",
                    "cache_dir": folder,
                }
            ),
            algorithm=MinHashAlgorithmConfig(
                algorithm_name="minhash",
                text_column="text",
                num_perm=128,
                ngram_size=3,
                threshold=similarity,
                check_false_positive=True,
            ),
            output=OutputConfig(output_dir=folder),
            debug=DebugConfig(),
        )
        began = time.perf_counter()
        rows, _, _ = minhash.load_and_preprocess(config)
        found = minhash.cluster(config, minhash.fingerprint(config, rows))
        _, found = minhash.check_false_positives(config, minhash.assign(config, rows, found))
        seconds = time.perf_counter() - began
    columns = {"place": list(found), "cluster": list(found.values())}
    pq.write_table(pa.table(columns), clusters)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
