"""Made-up records of people with known truth: copies with typos, swaps and gaps.

The names are made of syllables and drawn by Zipf's law, so some are frequent and most are rare, as
real ones are. Everything follows from the seed.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError

FIELDS = ("first_name", "surname", "born", "street", "city", "postcode", "email", "phone")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ONSETS = (
    *("b", "br", "c", "ch", "d", "f", "fl", "g", "gr", "h", "j", "k"),
    *("l", "m", "n", "p", "r", "s", "st", "t", "th", "v", "w"),
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ie", "oo")
_CODAS = ("", "", "l", "n", "r", "s", "nd", "rt", "m")
_WAYS = {"street": "st", "road": "rd", "avenue": "ave", "lane": "ln", "court": "ct"}
_EXAMPLE_DAY = datetime.date(2020, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How likely a copy of a record is changed, each field by itself unless said otherwise.

    Attributes:
        typo: A text gets a wrong, missing, additional or transposed character; half as often a
            second one.
        missing: The field is null.
        abbreviated: `street` becomes `st`; a first name its first letter.
        swapped: First name and surname change places, once for the record; so do day and month.
        moved: The person has another street, postcode and city, once for the record.
        renewed: The field has another value, such as a new email or phone.
    """

    typo: float
    missing: float
    abbreviated: float
    swapped: float
    moved: float
    renewed: float


NOISE = {
    "low": Noise(typo=0.03, missing=0.03, abbreviated=0.03, swapped=0.01, moved=0.02, renewed=0.02),
    "moderate": Noise(
        typo=0.10, missing=0.10, abbreviated=0.10, swapped=0.03, moved=0.05, renewed=0.05
    ),
    "high": Noise(
        typo=0.25, missing=0.20, abbreviated=0.20, swapped=0.05, moved=0.10, renewed=0.10
    ),
}


def people(
    rows: int,
    noise: Noise | str = "moderate",
    *,
    seed: int = 0,
    sizes: Sequence[float] = (0.5, 0.25, 0.15, 0.1),
) -> pa.Table:
    """Records of people, shuffled, of which some are changed copies of others.

    Args:
        noise: `low`, `moderate` or `high`, or your own.
        sizes: Shares of people with one record, two, three, ...

    Returns:
        [id, FIELDS, updated, truth]: `truth` is the same number for records of one person. The
        first record of a person is without faults; `updated` is a date.

    Raises:
        ConfigError: a noise that is not known.
    """
    if isinstance(noise, str):
        if noise not in NOISE:
            raise ConfigError(f"noise is {noise!r}; it is one of {', '.join(NOISE)}")
        noise = NOISE[noise]
    rng = np.random.default_rng(seed)
    maker = _Maker(rng)
    records: list[dict[str, str | None]] = []
    truth: list[int] = []
    person = 0
    shares = np.asarray(sizes, float) / sum(sizes)
    while len(records) < rows:
        clean = maker.person()
        for copy in range(1 + int(rng.choice(len(shares), p=shares))):
            records.append(maker.changed(clean, noise) if copy else clean)
            truth.append(person)
        person += 1
    order = rng.permutation(rows)
    updated = [_EXAMPLE_DAY + datetime.timedelta(int(day)) for day in rng.integers(0, 1500, rows)]
    columns: dict[str, pa.Array] = {"id": pa.array(np.arange(rows))}
    for field in FIELDS:
        columns[field] = pa.array([records[place][field] for place in order], pa.string())
    columns["updated"] = pa.array(updated, pa.date32())
    columns["truth"] = pa.array(np.asarray(truth)[order])
    return pa.table(columns)


class _Maker:
    """Draws people, and changes records of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.first_names = _Pool(self._names(1500, 2), rng)
        self.surnames = _Pool(self._names(8000, 3), rng)
        self.streets = _Pool(self._names(3000, 2), rng)
        self.cities = _Pool(self._names(200, 2), rng)
        self.given: Counter[tuple[str, str]] = Counter()
        self.hosts = _Pool([f"{name}.example" for name in self._names(40, 2)], rng)

    def person(self) -> dict[str, str | None]:
        first, last = self.first_names.draw(), self.surnames.draw()
        born = datetime.date(1935, 1, 1) + datetime.timedelta(self._number(25_000))
        return {
            "first_name": first,
            "surname": last,
            "born": born.isoformat(),
            **self._home(),
            "email": self._email(first, last),
            "phone": self._phone(),
        }

    def changed(self, clean: dict[str, str | None], noise: Noise) -> dict[str, str | None]:
        """A copy with faults."""
        found = dict(clean)
        if self._happens(noise.moved):
            found.update(self._home())
        if self._happens(noise.renewed):
            found["email"] = self._email(found["first_name"] or "", found["surname"] or "")
        if self._happens(noise.renewed):
            found["phone"] = self._phone()
        if self._happens(noise.abbreviated):
            found["street"] = _abbreviated(found["street"] or "")
        if self._happens(noise.abbreviated / 2):
            found["first_name"] = (found["first_name"] or "")[:1]
        if self._happens(noise.swapped):
            found["first_name"], found["surname"] = found["surname"], found["first_name"]
        if self._happens(noise.swapped):
            year, month, day = (found["born"] or "").split("-")
            found["born"] = f"{year}-{day}-{month}"
        for field in FIELDS:
            if self._happens(noise.missing):
                found[field] = None
                continue
            text = found[field] or ""
            for chance in (noise.typo, noise.typo / 2):
                if self._happens(chance):
                    text = self._typo(text, digits=field in ("born", "phone"))
            found[field] = text
        return found

    def _home(self) -> dict[str, str | None]:
        way = list(_WAYS)[self._number(len(_WAYS))]
        return {
            "street": f"{1 + self._number(200)} {self.streets.draw()} {way}",
            "city": self.cities.draw(),
            "postcode": f"{self._letters(2)}{1 + self._number(20)} "
            f"{self._number(10)}{self._letters(2)}".upper(),
        }

    def _email(self, first: str, last: str) -> str:
        kinds = (f"{first}.{last}", f"{first[:1]}{last}", f"{first}{self._number(100)}")
        name, host = kinds[self._number(3)], self.hosts.draw()
        # Who is late gets a number: a host gives an address once.
        given = self.given[name, host]
        self.given[name, host] += 1
        return f"{name}-{given}@{host}" if given else f"{name}@{host}"

    def _phone(self) -> str:
        return f"0{self._number(10**9):09}"

    def _typo(self, text: str, digits: bool) -> str:
        if len(text) < 2:
            return text
        place = self._number(len(text))
        new = str(self._number(10)) if digits else self._letters(1)
        match self._number(4):
            case 0:
                return text[:place] + new + text[place + 1 :]
            case 1:
                return text[:place] + text[place + 1 :]
            case 2:
                return text[:place] + new + text[place:]
            case _:
                place = min(place, len(text) - 2)
                return text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    def _names(self, count: int, syllables: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < count:
            some = 1 + self._number(syllables) if syllables > 1 else 1
            found["".join(self._syllable() for _ in range(max(some, 2)))] = None
        return list(found)

    def _syllable(self) -> str:
        return "".join(part[self._number(len(part))] for part in (_ONSETS, _VOWELS, _CODAS))

    def _letters(self, count: int) -> str:
        return "".join(_LETTERS[self._number(26)] for _ in range(count))

    def _number(self, below: int) -> int:
        return int(self.rng.integers(below))

    def _happens(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)


class _Pool:
    """Names of which the k-th is drawn with a chance that falls as k to the power of 0.8."""

    def __init__(self, names: list[str], rng: np.random.Generator) -> None:
        self.names, self.rng = names, rng
        chances = 1.0 / np.arange(1, len(names) + 1) ** 0.8
        self.running = np.cumsum(chances / chances.sum())

    def draw(self) -> str:
        place = np.searchsorted(self.running, self.rng.random(), side="right")
        return self.names[min(int(place), len(self.names) - 1)]


def _abbreviated(street: str) -> str:
    *words, way = street.split()
    return " ".join([*words, _WAYS.get(way, way)])
