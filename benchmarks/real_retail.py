"""The demo's question, by an RNN over a household's weeks, beside the demo's own models.

Run `make demo` first: this reads its warehouse. The sequence of a row is what the household did in
up to 13 weeks, of which the anchor's is the last: visits, the logarithm of sales, and whether it
shopped at all. The second RNN gets the demo's features of the row beside it. Periods are the
demo's; figures are of the test weeks 45 to 52.

    python benchmarks/real_retail.py [--warehouse warehouse/retail]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import FOLDER, bench_session, commit
from pyspark.sql import functions as f
from pyspark.sql.window import Window
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

import sparkmine as sm

KEYS = ["household_id", "week"]
SEQUENCES = ["visits", "sales", "shopped"]
TRAIN, VALIDATION, TEST = (
    "week between 14 and 36",
    "week between 38 and 43",
    "week between 45 and 52",
)


def figures(scored: Any) -> str:
    rows = scored.select("shops", "prediction").toPandas()
    chosen = rows.prediction > 0.5
    return (
        f"AUC {roc_auc_score(rows.shops, rows.prediction):.4f}, "
        f"accuracy {accuracy_score(rows.shops, chosen):.4f}, "
        f"recall {recall_score(rows.shops, chosen):.4f}, F1 {f1_score(rows.shops, chosen):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", type=Path, default=Path("warehouse/retail"))
    options = parser.parse_args()
    spark = bench_session(memory="2g", **{"spark.master": "local[2]"})
    lake = sm.Lake(options.warehouse.absolute(), spark)
    weeks = lake.table("mart/household_weeks").snapshot().dataframe(spark)
    last_13 = Window.partitionBy("household_id").orderBy("week").rowsBetween(-12, 0)
    histories = weeks.select(
        *KEYS,
        f.collect_list(f.least(f.col("visits_7"), f.lit(7)) / 7).over(last_13).alias("visits"),
        f.collect_list(f.log1p(f.greatest(f.col("sales_7"), f.lit(0))) / 5)
        .over(last_13)
        .alias("sales"),
        f.collect_list(f.col("shopped_last_week").cast("double")).over(last_13).alias("shopped"),
    )
    table = lake.table("features/household_weeks").snapshot()
    features = [
        field.name
        for field in table.schema.fields
        if field.name not in (*KEYS, "anchor_date", "shops")
        and field.dataType.simpleString() == "double"
    ]
    joined = table.dataframe(spark).join(histories, KEYS).where("shops is not null")
    rows = sm.Lake(FOLDER / "lake", spark).table("retail_histories")
    rows.write(joined.select(*KEYS, "shops", *features, *SEQUENCES))
    snapshot = rows.snapshot()
    print(f"will this household shop in the next 7 days? weeks 45 to 52, commit {commit()}")
    for name in ("majority", "as_last_week", "logistic", "tree", "mlp"):
        scores = lake.table(f"scores/{name}").snapshot().where(TEST).dataframe(spark)
        print(f"  {name:20} {figures(scores)}")
    for name, beside in (("rnn, weeks", []), ("rnn, weeks, features", features)):
        trained = sm.train.fit(
            sm.train.RNN(cell="gru", units=[32], max_length=13, hidden=[32], dropout=0.2),
            train=snapshot.where(TRAIN),
            validation=snapshot.where(VALIDATION),
            features=[*SEQUENCES, *beside],
            label="shops",
            ranks=2,
            epochs=12,
            batch_size=256,
            learning_rate=0.002,
            early_stopping=sm.train.EarlyStopping(monitor="val_auc", patience=3),
            spark=spark,
        )
        scored = trained.transform(snapshot.where(TEST).dataframe(spark))
        print(f"  {name:20} {figures(scored)} (epoch {trained.epoch})")


if __name__ == "__main__":
    main()
