"""Companies and products with faults and namesakes, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import sparkmine as sm
from sparkmine.dedup.fuzzy import Comparison, Linkage, Training
from sparkmine.dedup.fuzzy.comparisons import alike
from sparkmine.evaluate.clusters import pairwise

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Row = dict[str, Any]
_SYLLABLES = "ba be bro da del fa gar ha jen ka kel la lor ma mer mül na nor pa rei sa sto ta vi wa"
_TRADES = "Optik Logistik Software Consulting Textil Elektro Druck Energie Foods Medien Bau Reisen"
_FORMS = {
    "GmbH": ("GmbH", "gmbh", "G.m.b.H.", ""),
    "Limited": ("Limited", "Ltd", "Ltd.", ""),
    "Inc": ("Inc", "Inc.", "Incorporated", ""),
    "AG": ("AG", "ag", ""),
}
_THINGS = "lamp chair table kettle router drill backpack camera printer speaker bicycle toaster"
_COLOURS = "red blue black white green silver"


class Maker:
    """Draws records, and changes copies of them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def happens(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def name(self) -> str:
        syllables = (self.one(_SYLLABLES.split()) for _ in range(3))
        return "".join(syllables).capitalize()

    def digits(self, count: int) -> str:
        return "".join(map(str, self.rng.integers(0, 10, count)))

    def typo(self, text: str) -> str:
        """One letter wrong, missing or swapped with the next."""
        at = int(self.rng.integers(1, len(text) - 1))
        kinds = (
            text[:at] + "e" + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :],
        )
        return str(self.one(kinds))

    def gaps(self, row: Row, chance: float, *names: str) -> Row:
        return row | {name: None for name in names if self.happens(chance)}

    def company(self, like: Row | None) -> Row:
        """With the first word and the town of another one, if there is one."""
        first = like["firm"].split()[0] if like else self.name()
        trades = [trade for trade in _TRADES.split() if not like or trade not in like["firm"]]
        form = self.one(list(_FORMS))
        return {
            "firm": f"{first} {self.one(trades)} {form}",
            "city": like["city"] if like else self.name(),
            "postcode": like["postcode"] if like and self.happens(0.5) else self.digits(5),
            "phone": f"+49 {self.digits(3)} {self.digits(7)}",
        }

    def company_again(self, row: Row) -> Row:
        *words, form = row["firm"].split()
        if self.happens(0.15):
            words = [self.typo(words[0]), *words[1:]]
        if self.happens(0.1):
            words = words[::-1]
        firm = " ".join([*words, self.one(_FORMS[form])]).strip()
        found = row | {"firm": firm.upper() if self.happens(0.2) else firm}
        if self.happens(0.1):
            found["city"] = self.typo(row["city"])
        if self.happens(0.1):
            found["phone"] = f"+49 {self.digits(3)} {self.digits(7)}"
        elif self.happens(0.5):
            found["phone"] = row["phone"].replace("+49 ", "0").replace(" ", "-")
        return self.gaps(found, 0.1, "city", "postcode", "phone")

    def product(self, like: Row | None) -> Row:
        """The next model of another product, at another price, if there is one."""
        brand = like["brand"] if like else self.name()
        title = (
            like["title"] if like else f"{self.one(_COLOURS.split())} {self.one(_THINGS.split())}"
        )
        *words, _ = [*title.split(), ""] if not like else title.split()
        model = f"{self.one('abcdefgh')}{self.digits(3)}"
        return {
            "title": " ".join([brand, *[w for w in words if w != brand], model]),
            "brand": brand,
            "price": round(float(self.rng.uniform(10, 500)), 2),
            "code": self.digits(13),
        }

    def product_again(self, row: Row) -> Row:
        words = list(self.rng.permutation(row["title"].split()))
        if self.happens(0.15):
            words[0] = self.typo(words[0])
        if self.happens(0.3):
            words.append(self.one(("new", "large", "sale", "original")))
        found = row | {"title": " ".join(map(str, words)).title()}
        if self.happens(0.5):
            found["price"] = round(row["price"] * float(self.rng.uniform(0.95, 1.05)), 2)
        return self.gaps(found, 0.15, "brand", "code")


def records(
    maker: Maker, new: Callable[[Row | None], Row], again: Callable[[Row], Row]
) -> tuple[list[Row], list[int]]:
    """180 things of one to three records each, a third of them near namesakes of the one before."""
    rows: list[Row] = []
    truth: list[int] = []
    before = None
    for thing in range(180):
        before = new(before if thing % 3 == 2 else None)
        copies = [again(before) for _ in range(int(maker.rng.integers(3)))]
        rows += [before, *copies]
        truth += [thing] * (1 + len(copies))
    return rows, truth


def f1_of(spark: SparkSession, rows: list[Row], truth: list[int], linkage: Linkage) -> float:
    order = np.random.default_rng(1).permutation(len(rows)).tolist()
    kinds = {name: "double" if name == "price" else "string" for name in rows[0]}
    schema = ", ".join(["id int", *(f"{name} {kind}" for name, kind in kinds.items())])
    df = spark.createDataFrame([(n, *rows[at].values()) for n, at in enumerate(order)], schema)
    clusters = dict(map(tuple, sm.dedup.fuzzy_records(df, linkage).clusters.collect()))
    found = pairwise([truth[at] for at in order], [clusters[n] for n in range(len(order))])
    return found.f1


def test_legal_forms_do_not_count(spark: SparkSession) -> None:
    names = {
        "Möller G.m.b.H.": "moller",
        "MOLLER  Gmbh": "moller",
        "Rossi S.p.A": "rossi",
        "The Brown Co., Ltd.": "brown",
        "A.G. Edwards": "a g edwards",
        "Limited": "limited",
    }
    df = spark.createDataFrame([(name,) for name in names], "firm string")
    found = df.select("firm", alike(df.firm, "company")).collect()
    assert dict(map(tuple, found)) == names


@pytest.mark.slow
def test_companies_with_faults_and_namesakes(spark: SparkSession) -> None:
    """Typos, legal forms, reordered words, gaps, new phones; others of that name in that town."""
    maker = Maker(1)
    linkage = Linkage(
        id="id",
        blocking=(("phone",), ("postcode",), ("left(firm, 4)",), ("city",)),
        comparisons=(
            # Firms that share the first word alone are at 0.9 and more.
            Comparison(
                kind="company", columns=("firm",), thresholds=(0.97, 0.93), term_frequency=False
            ),
            Comparison(kind="levenshtein", columns=("city",), thresholds=(1,)),
            Comparison(kind="postcode", columns=("postcode",)),
            Comparison(kind="phone", columns=("phone",)),
        ),
        training=Training(
            rules=(("phone",), ("firm",)), certain=(("phone",),), recall=0.7, sample_pairs=50_000
        ),
        threshold=0.9,
        seed=1,
    )
    rows, truth = records(maker, maker.company, maker.company_again)
    assert f1_of(spark, rows, truth, linkage) >= 0.95


@pytest.mark.slow
def test_products_with_faults_and_next_models(spark: SparkSession) -> None:
    """Reordered words, typos, gaps and other prices; other models of that brand and kind."""
    maker = Maker(2)
    linkage = Linkage(
        id="id",
        blocking=(("code",), ("brand",), ("price",)),
        comparisons=(
            Comparison(kind="words", columns=("title",)),
            Comparison(kind="number", columns=("price",), thresholds=(0.01, 0.06)),
            Comparison(kind="exact", columns=("code",), term_frequency=False),
        ),
        training=Training(
            rules=(("code",), ("price",)), certain=(("code",),), recall=0.7, sample_pairs=50_000
        ),
        threshold=0.9,
        seed=1,
    )
    rows, truth = records(maker, maker.product, maker.product_again)
    assert f1_of(spark, rows, truth, linkage) >= 0.95
