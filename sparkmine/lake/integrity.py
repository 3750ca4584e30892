"""What Delta does not notice of a damaged log on a local disk.

A log entry of no bytes, as a lost power supply leaves it, is a commit without actions to Delta: the
table has rows that were replaced, or lacks rows. A newest entry that is gone is a commit that never
was. Both are seen by what Delta writes beside its entries.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from sparkmine.lake.failures import ENTRY, damaged

# Delta's summary of a version, and the checksum of its entry that Hadoop keeps.
_BESIDE = re.compile(r"^(?:(\d{20})\.crc|\.(\d{20})\.json\.crc)$")


def check_log(path: str, newest: int) -> None:
    """Look at the log of a table whose newest version is `newest`, by its names and sizes.

    Raises:
        TableDamagedError: names the entry that is empty or missing.
    """
    folder = Path(path) / "_delta_log"
    entries, beside = set(), set()
    try:
        with os.scandir(folder) as found:
            for file in found:
                entry, other = ENTRY.match(file.name), _BESIDE.match(file.name)
                if entry:
                    entries.add(int(entry.group(1)))
                    if not file.stat().st_size:
                        raise damaged(path, file.path, "it is empty")
                elif other:
                    beside.add(int(other.group(1) or other.group(2)))
    except FileNotFoundError:
        return  # no table, or a file that went while we looked
    for version in sorted(beside - entries):
        if version > newest:
            raise damaged(path, str(folder / f"{version:020}.json"), "it is missing")


def check_files(path: str, version: int, files: int, size: int) -> None:
    """Compare the files of a version, and their bytes, with Delta's own summary, if there is one.

    Raises:
        TableDamagedError: the log has lost lines.
    """
    counts = summary(path, version)
    if counts not in (None, (files, size)):
        assert counts is not None
        raise damaged(
            path,
            str(Path(path) / "_delta_log" / f"{version:020}.json"),
            f"version {version} has {files} files of {size} bytes by the log and {counts[0]} of "
            f"{counts[1]} by its summary, so an entry up to this version has lost lines",
        )


def summary(path: str, version: int) -> tuple[int, int] | None:
    """How many files a version has, and their bytes, by Delta's own summary of it."""
    try:
        found = json.loads((Path(path) / "_delta_log" / f"{version:020}.crc").read_text())
        return found["numFiles"], found["tableSizeBytes"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # not written, or damaged itself: Delta does without it, too
