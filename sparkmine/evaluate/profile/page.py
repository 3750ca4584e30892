"""A profile as one HTML file, of the report's own parts."""

from __future__ import annotations

from pathlib import Path

from sparkmine.evaluate.profile import charts
from sparkmine.evaluate.profile.data import WARNING, ColumnProfile, Profile
from sparkmine.evaluate.profile.facts import number_text
from sparkmine.evaluate.profile.findings import moment
from sparkmine.evaluate.report import MissingValues, data_charts
from sparkmine.evaluate.report.pages import NOTHING, environment, write_page
from sparkmine.evaluate.report.pictures import Picture

# A picture takes a twentieth of a second and six thousand bytes.
PICTURED = 150
_PAIRS = 10
_DRAWN_CHANGES = 6
# Siddiqi's rule of thumb.
MOVED, MOVED_MUCH = 0.1, 0.25


def render(profile: Profile, path: str | Path) -> Path:
    """Write the profile to `path`. The same profile gives the same bytes."""
    return write_page(to_html(profile), Path(path))


def to_html(profile: Profile) -> str:
    """The profile as text."""
    found = environment()
    found.filters.update(
        number=_number_or_nothing, moment=moment, size=_size, signed=_signed, psi=_psi
    )
    return found.get_template("profile/template.html.j2").render(
        profile=profile,
        warnings=[one for one in profile.findings if one.severity == WARNING],
        places={column.name: place for place, column in enumerate(profile.columns)},
        cells=_missing_cells(profile),
        missing=_missing(profile),
        pictures_of=[_picture(column, i) for i, column in enumerate(profile.columns)],
        correlations=_correlations(profile),
        pairs=profile.correlations.strongest(_PAIRS) if profile.correlations else [],
        changes=_changes(profile),
        moved=MOVED,
        moved_much=MOVED_MUCH,
        pictured=PICTURED,
    )


def _missing_cells(profile: Profile) -> float | None:
    cells = profile.rows * len(profile.columns)
    return sum(column.missing for column in profile.columns) / cells if cells else None


def _missing(profile: Profile) -> list[Picture]:
    gaps = {c.name: c.missing_share for c in profile.columns}
    if not any(gaps.values()):
        return []
    return [data_charts.missing(MissingValues(table=profile.name, fractions=gaps), "missing")]


def _picture(column: ColumnProfile, place: int) -> Picture | None:
    if place >= PICTURED:
        return None
    if column.lengths is not None:
        return charts.histogram(column.name, column.lengths, f"column-{place}", "length")
    if column.values is None:
        return None
    what = "time" if column.kind == "time" else ""
    return charts.histogram(column.name, column.values, f"column-{place}", what)


def _correlations(profile: Profile) -> list[Picture]:
    return [charts.heat_map(profile.correlations)] if profile.correlations else []


def _changes(profile: Profile) -> list[Picture]:
    if profile.drift is None:
        return []
    drawn = [one for one in profile.drift.changes if (one.psi or 0.0) >= MOVED]
    return [charts.change(one, f"change-{i}") for i, one in enumerate(drawn[:_DRAWN_CHANGES])]


def _number_or_nothing(value: float | None) -> str:
    return NOTHING if value is None else number_text(value)


def _signed(value: float | None) -> str:
    if value is None or not value:
        return NOTHING if value is None else "0"
    return ("+" if value > 0 else "-") + number_text(abs(value))


def _psi(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _size(value: int | None) -> str:
    if value is None:
        return NOTHING
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f}\u00a0{unit}"
    return f"{value}\u00a0bytes"
