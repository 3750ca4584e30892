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
    found = _MOMENT.fullmatch(bare)
    today = found is None
    if today:
        found = _TODAY.fullmatch(bare)
        if not (text.startswith("T") or (":" in bare and bare[0] != "T")):  # as Spark has it
            return None
    if found is None:
        return None
    parts = found.groupdict()
    zone = _zone((parts["zone"] or "Z").strip(BLANK))
    if zone is None:
        return None
    if today:
        now = datetime.datetime.now(zone)
        parts |= {"year": now.year, "month": now.month, "day": now.day, "sign": ""}
    year = int(parts["year"]) * (-1 if parts["sign"] == "-" else 1)
    cycles, within = divmod(year - 2000, 400)
    month, day = int(parts["month"] or 1), int(parts["day"] or 1)
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    try:
        at = datetime.datetime(2000 + within, month, day, hour, minute, second)
    except ValueError:
        return None
    days = at.toordinal() - _EPOCH + cycles * _CYCLE
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - _offset(zone, at, year)
    micros = seconds * 1_000_000 + int((parts["fraction"] or "")[:6].ljust(6, "0"))
    return micros if -(2**63) <= micros < 2**63 else None


def _offset(zone: datetime.tzinfo, at: datetime.datetime, year: int) -> int:
    """Seconds east of UTC."""
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
def _zone(name: str) -> datetime.tzinfo | None:
    """The zone, or None where Java knows none."""
    # Spark's own: hours and minutes of one digit.
    name = re.sub(r"([+-])([0-9]):", r"\g<1>0\2:", name, count=1)
    name = re.sub(r"([+-])([0-9]{2}):([0-9])$", r"\1\2:0\3", name, count=1)
    name = _SHORT.get(name, name)
    if name in ("Z", "UTC", "GMT", "UT"):
        return datetime.UTC
    offset = _OFFSET.fullmatch(re.sub(r"^(UTC|GMT|UT)(?=[+-])", "", name))
    if offset is None:
        return zoneinfo.ZoneInfo(name) if name in zoneinfo.available_timezones() else None
    digits = offset[2].replace(":", "").zfill(2).ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    east = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if max(minutes, seconds) > 59 or east > datetime.timedelta(hours=18):
        return None
    return datetime.timezone(-east if offset[1] == "-" else east)
