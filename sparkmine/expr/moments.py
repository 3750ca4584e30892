"""A text as a moment, by the grammar of Spark's casts, which has zones and times without a date."""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo

BLANK = "".join(map(chr, range(0x21)))  # what Java trims
CONTROL = BLANK + "\x7f"  # what Spark trims

_TIME = (
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{1,2})"
    r"(?::(?P<second>[0-9]{1,2})(?:\.(?P<fraction>[0-9]*))?(?P<zone>[^0-9].*)?)?)?"
)
_DAY = (
    r"(?P<sign>[+-])?(?P<year>[0-9]{4,6})(?:-(?P<month>[0-9]{1,2})"
    rf"(?:-(?P<day>[0-9]{{1,2}})(?:[ T]{_TIME})?)?)?"
)
_MOMENT, _TODAY = re.compile(_DAY, re.DOTALL), re.compile(rf"T?{_TIME}", re.DOTALL)
_CYCLE = 146_097  # days of the 400 years after which the calendar repeats itself
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def moment(text: str) -> int | None:
    """Microseconds since 1970, in UTC where the text names no zone.

    A time without a date is one of today, as in Spark.
    """
    bare = text.strip(CONTROL)
    day, time = _MOMENT.fullmatch(bare), None
    if day is None:
        time = _TODAY.fullmatch(bare)
        alone = bare.startswith("T")
        if time is None or (alone and not text.startswith("T")) or (not alone and ":" not in bare):
            return None
    parts = (day or time).groupdict()  # type: ignore[union-attr]
    zone = _zone((parts["zone"] or "Z").strip(BLANK))
    if zone is None:
        return None
    if day is None:
        today = datetime.datetime.now(datetime.UTC if isinstance(zone, int) else zone)
        if isinstance(zone, int):
            today += datetime.timedelta(seconds=zone)
        parts |= {"year": today.year, "month": today.month, "day": today.day, "sign": None}
    year = int(parts["year"]) * (-1 if parts["sign"] == "-" else 1)
    cycles, within = divmod(year - 2000, 400)
    fraction = int((parts["fraction"] or "")[:6].ljust(6, "0"))
    try:
        at = datetime.datetime(
            *(2000 + within, int(parts["month"] or 1), int(parts["day"] or 1)),
            *(int(parts[name] or 0) for name in ("hour", "minute", "second")),
        )
    except ValueError:
        return None
    days = at.toordinal() - _EPOCH + cycles * _CYCLE
    seconds = days * 86_400 + at.hour * 3600 + at.minute * 60 + at.second - _offset(zone, at, year)
    micros = seconds * 1_000_000 + fraction
    return micros if -(2**63) <= micros < 2**63 else None


def _offset(zone: int | datetime.tzinfo, at: datetime.datetime, year: int) -> int:
    """Seconds east of UTC."""
    if isinstance(zone, int):
        return zone
    if year <= 9999:  # of later years the last rules hold; the first years are all alike
        at = at.replace(year=max(year, 4))
    found = zone.utcoffset(at)
    return 0 if found is None else round(found.total_seconds())


_OFFSET = re.compile(r"([+-])([0-9]{1,2}|[0-9]{4}|[0-9]{6}|[0-9]{2}(?::[0-9]{2}){1,2})")
# Java's old names of zones (ZoneId.SHORT_IDS).
_SHORT = {
    "EST": "-05:00",
    "MST": "-07:00",
    "HST": "-10:00",
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
}


@functools.lru_cache(1024)
def _zone(name: str) -> int | datetime.tzinfo | None:
    """Seconds east of UTC, or a zone with rules; None where Java knows none."""
    # Spark's own: hours and minutes of one digit.
    name = re.sub(r"([+-])([0-9]):", r"\g<1>0\2:", name, count=1)
    name = re.sub(r"([+-])([0-9]{2}):([0-9])$", r"\1\2:0\3", name, count=1)
    name = _SHORT.get(name, name)
    if name in ("Z", "UTC", "GMT", "UT"):
        return 0
    offset = _OFFSET.fullmatch(re.sub(r"^(UTC|GMT|UT)(?=[+-])", "", name))
    if offset is None:
        return zoneinfo.ZoneInfo(name) if name in zoneinfo.available_timezones() else None
    digits = offset[2].replace(":", "")
    digits = digits.zfill(2).ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    total = hours * 3600 + minutes * 60 + seconds
    if max(minutes, seconds) > 59 or total > 18 * 3600:
        return None
    return -total if offset[1] == "-" else total
