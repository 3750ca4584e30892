"""Rows a second of petastorm, read as Horovod's Keras estimator reads: for bench_train_loader.py.

Runs in an environment of its own, because petastorm 0.13.1 does not work with a current pyarrow.

    python petastorm_reader.py FOLDER ROWS BATCH
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from petastorm import make_batch_reader
from petastorm.tf_utils import make_petastorm_dataset


def main() -> None:
    folder, rows, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    reader = make_batch_reader(
        [file.as_uri() for file in sorted(folder.glob("*.parquet"))],
        num_epochs=1,
        reader_pool_type="thread",
        workers_count=2,
        shuffle_rows=True,
        shuffle_row_groups=True,
        seed=0,
    )
    with reader:
        dataset = make_petastorm_dataset(reader).unbatch().batch(batch)
        found, began = 0, 0.0
        for one in dataset:
            if not found:  # what comes before the first batch is not counted
                began, first = time.perf_counter(), int(one.y.shape[0])
            found += int(one.y.shape[0])
            if found >= rows:
                break
    print((found - first) / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
