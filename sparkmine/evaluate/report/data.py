"""What a report shows: plain data that the stages fill in. Every section is optional."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.comparison import Evaluation
from sparkmine.evaluate.explain import Explanation
from sparkmine.evaluate.plain import PlainData
from sparkmine.evaluate.report.decided import CalibrationCurve, ChosenThreshold, JudgedDecisions
from sparkmine.evaluate.report.ensembles import Combined
from sparkmine.evaluate.report.itemsets import FrequentItemsets
from sparkmine.evaluate.report.recommended import Recommendations
from sparkmine.evaluate.report.texts import KeywordTable, TopicTable
from sparkmine.evaluate.report.weights import ModelWeights


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The run that a report is about. `extra` holds further lines, label to value."""

    run_id: str
    date: str
    code_version: str
    seed: int
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageInfo:
    """One stage of the pipeline as the ledger has it; None where a number does not apply.

    `status` is shown as it is; "done", "up to date", "failed", "running" and "skipped" have their
    colours. `inputs` are names of other stages: the arrows of the picture.
    """

    name: str
    kind: str
    status: str
    rows_in: int | None = None
    rows_out: int | None = None
    quarantined: int | None = None
    removed: int | None = None
    seconds: float | None = None
    table: str | None = None
    version: int | None = None
    inputs: tuple[str, ...] = ()
    note: str = ""  # why it ran, say


@dataclass(frozen=True, kw_only=True)
class TableQuality:
    """Row accounting of one table, and how many rows broke each rule.

    `notes` are other counts, by what they count: rows dropped or warned of, values repaired.
    """

    table: str
    rows_in: int
    kept: int
    quarantined: int
    removed: int
    reasons: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EqualRows:
    """What one search for equal rows found.

    `key` has the columns compared, none for whole rows. `largest` has (key, rows), `examples`
    (row that stays, row that goes, rows that go): the second is empty where the two are equal.
    """

    table: str
    rows: int
    groups: int
    removed: int
    repeated: int  # groups of several rows
    key: tuple[str, ...] = ()
    largest: tuple[tuple[str, int], ...] = ()
    examples: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class NearCopies:
    """What one search for near copies found.

    `largest` has (cluster, rows), `examples` (similarity, text, other text) of verified pairs.
    `joined` pairs of different texts are in one cluster; `precision` of them were verified.
    `changes` says what became of clusters that other runs have kept: (what, number).
    """

    table: str
    rows: int
    clusters: int
    compared: int
    near: int  # of the pairs compared, those that reach the threshold
    threshold: float
    largest: tuple[tuple[str, int], ...] = ()
    examples: tuple[tuple[float, str, str], ...] = ()
    joined: int = 0
    precision: float | None = None
    changes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class WeightLevel:
    """What one level of agreement of one comparison weighs: log2 of m over u.

    The prior has no m and u. `seen` is False where the weight is a guess.
    """

    comparison: str
    level: str
    weight: float
    m: float | None = None
    u: float | None = None
    seen: bool = True


@dataclass(frozen=True, kw_only=True)
class ScoredPair:
    """Two records and how their match weight came about.

    `values` has (column, value, other value), `bars` (comparison, level, weight): the prior first,
    then the comparisons, at the end their sum.
    """

    probability: float
    matched: bool
    values: tuple[tuple[str, str, str], ...]
    bars: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, kw_only=True)
class FuzzyMatches:
    """What one search for records of one entity found.

    `largest` has (cluster, rows). `expected_precision` is the mean match probability of the pairs
    taken; `precision` and `recall` are measured on `verified` pairs that somebody looked at.
    """

    table: str
    rows: int
    clusters: int
    compared: int
    matched: int
    near_misses: int
    threshold: float
    expected_precision: float | None = None
    verified: int = 0
    precision: float | None = None
    recall: float | None = None
    largest: tuple[tuple[str, int], ...] = ()
    levels: tuple[WeightLevel, ...] = ()
    examples: tuple[ScoredPair, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MissingValues:
    """Share of missing values (0 to 1) per column of one table."""

    table: str
    fractions: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Explained variance ratio of each principal component, first one first."""

    name: str
    explained: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Values per epoch by name, as Keras names them: `loss`, `val_loss`, `auc`, `val_auc`, ..."""

    model: str
    history: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The evaluation of one stage, which wrote `table`."""

    stage: str
    table: str
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One association rule; a conviction of None has no end, the rule always holds."""

    antecedent: tuple[str, ...]
    consequent: tuple[str, ...]
    support: float
    confidence: float
    lift: float
    leverage: float
    conviction: float | None
    zhang: float


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules of one stage in the order to list them.

    The scatter shows all given, the table the first ones.
    """

    stage: str
    rules: tuple[Rule, ...]
    total: int  # how many were found, given here or not
    baskets: int | None = None
    item: str = "items"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model in use: the last of the versions of `table`, chosen by the table `evaluation`."""

    table: str
    evaluation: str
    model: str | None  # None before any has passed
    version: int | None
    why: str | None
    promoted: bool  # by this run's evaluation
    challenge: str = ""  # how the best model compares with the champion that it met


@dataclass(frozen=True, kw_only=True)
class StrangeRows:
    """The strangest rows of a table: `top` has (row, score, reasons), the strangest first."""

    table: str
    rows: int
    features: int
    methods: tuple[str, ...]
    top: tuple[tuple[str, float, tuple[str, ...]], ...]
    roc_auc: float | None = None  # where it is known which rows are outliers


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """What a leakage check found: (check, what in words). `train` and `test` are conditions."""

    table: str
    train: str
    test: str
    findings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Clusters of the rows of a table.

    Fields:
        profiles: (rows, share, what it differs by in words) of each cluster.
        features, means: The features that differ most, and the mean of each cluster in deviations
            from that of all rows [clusters][features].
        choice: (k, inertia, silhouette, stability) of each k that was tried.
        elbow, chosen: of these, where the curve of the inertia bends, and the one that was taken.
    """

    table: str
    rows: int
    inertia: float
    profiles: tuple[tuple[int, float, str], ...]
    features: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]
    choice: tuple[tuple[int, float, float | None, float | None], ...] = ()
    elbow: int | None = None
    chosen: int | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate of a search: its parameters in words, and its score over the folds."""

    parameters: str
    mean: float | None
    standard_error: float | None
    seconds: float
    chosen: bool
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A search for parameters by cross-validation.

    Fields:
        candidates: from the best to the worst, then those that failed; not always all.
        tried, failed: how many there were.
        seconds: of all fits together.
    """

    stage: str
    metric: str
    folds: int
    candidates: tuple[Candidate, ...]
    tried: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Row counts [bins] between edges [bins + 1]."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, scores: npt.ArrayLike, bins: int = 20) -> Self:
        """Of probabilities: equally wide bins of [0, 1]."""
        counts, edges = np.histogram(np.asarray(scores, float), bins=bins, range=(0.0, 1.0))
        return cls(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise DataError(
                f"a histogram of {len(self.counts)} bins has {len(self.counts) + 1} edges, "
                f"not {len(self.edges)}"
            )


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Scores written by one model into one table version."""

    stage: str
    table: str
    version: int | None
    rows: int
    model: str
    scores: Histogram
    task: str = "binary"
    about: str = ""  # which rows: "week 53"
    positives: int | None = None  # rows at or above the threshold, of a binary task
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReportData(PlainData):
    """All that one report shows. A section whose field is empty is left out."""

    title: str
    question: str = ""
    run: RunInfo | None = None
    stages: tuple[StageInfo, ...] = ()
    quality: tuple[TableQuality, ...] = ()
    equal: tuple[EqualRows, ...] = ()
    copies: tuple[NearCopies, ...] = ()
    fuzzy: tuple[FuzzyMatches, ...] = ()
    missing: tuple[MissingValues, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    learning: tuple[LearningCurve, ...] = ()
    outliers: tuple[StrangeRows, ...] = ()
    clusters: tuple[Clusters, ...] = ()
    searches: tuple[Searched, ...] = ()
    keywords: tuple[KeywordTable, ...] = ()
    topics: tuple[TopicTable, ...] = ()
    leakage: tuple[Leakage, ...] = ()
    calibrations: tuple[CalibrationCurve, ...] = ()
    ensembles: tuple[Combined, ...] = ()
    evaluations: tuple[Evaluated, ...] = ()
    thresholds: tuple[ChosenThreshold, ...] = ()
    decisions: tuple[JudgedDecisions, ...] = ()
    champions: tuple[Champion, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    weights: tuple[ModelWeights, ...] = ()
    itemsets: tuple[FrequentItemsets, ...] = ()
    rules: tuple[Rules, ...] = ()
    recommendations: tuple[Recommendations, ...] = ()
    predictions: tuple[Predictions, ...] = ()
    notes: tuple[str, ...] = ()
