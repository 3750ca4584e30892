"""Full disks, read-only folders and damaged files: a coded error that names them, nothing lost."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import TableDamagedError, WarehouseError
from sparkmine.lake import Lake, Table
from sparkmine.lake.lock import lock
from sparkmine.lake.scan import Scan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def forget(spark: SparkSession) -> None:
    """Read the logs anew, as a new process does."""
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]


def entry(table: Table, version: int) -> Path:
    return Path(table.path) / "_delta_log" / f"{version:020}.json"


def three_versions(lake: Lake) -> Table:
    table = lake.table("raw/log")
    for rows in (3, 4, 5):
        table.write(lake.spark.range(0, rows, 1, 1))
    return table


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def lose_lines(file: Path) -> None:
    file.write_text(file.read_text().splitlines()[0] + "\n")


def lose_lines_and_checksum(file: Path) -> None:
    """As on a file system that keeps no checksums beside its files."""
    lose_lines(file)
    file.with_name(f".{file.name}.crc").unlink()


@pytest.fixture(scope="module")
def original(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three versions, to be copied."""
    return Path(three_versions(Lake(tmp_path_factory.mktemp("original"), spark)).path)


@pytest.mark.parametrize(
    ("damage", "version", "named"),
    [
        pytest.param(cut, 1, 1, marks=pytest.mark.slow),
        pytest.param(empty, 1, 1, marks=pytest.mark.slow),
        (empty, 2, 2),
        pytest.param(lose_lines, 1, 1, marks=pytest.mark.slow),
        pytest.param(
            lose_lines_and_checksum, 1, 2, marks=pytest.mark.slow
        ),  # the first version whose files do not add up
        (lose_lines_and_checksum, 2, 2),
        pytest.param(Path.unlink, 1, 1, marks=pytest.mark.slow),
        (Path.unlink, 2, 2),
    ],
)
def test_a_damaged_log_entry_is_named(
    spark: SparkSession,
    lake: Lake,
    original: Path,
    damage: Callable[[Path], None],
    version: int,
    named: int,
) -> None:
    table = lake.table("raw/log")
    shutil.copytree(original, table.path)
    damage(entry(table, version))
    before = sorted(Path(table.path).rglob("*"))
    file = entry(table, named).name
    with pytest.raises(TableDamagedError, match=f"raw/log .*{file}.*restore the log entry"):
        table.snapshot()
    if damage is not lose_lines_and_checksum:  # which is seen by the files alone
        with pytest.raises(TableDamagedError, match=file):
            list(table.commits())
        with pytest.raises(TableDamagedError, match=file):
            table.write(spark.range(2))
    assert sorted(Path(table.path).rglob("*")) == before
    shutil.copytree(original, table.path, dirs_exist_ok=True)  # as the error advises
    forget(spark)
    assert (table.snapshot().version, table.snapshot().rows) == (2, 5)


@pytest.mark.slow  # tests/lake/test_lake.py has the quick ones
@pytest.mark.parametrize("damage", [cut, empty, Path.unlink])
def test_a_damaged_data_file_is_named_and_the_table_can_be_restored(
    spark: SparkSession, lake: Lake, damage: Callable[[Path], None]
) -> None:
    table = three_versions(lake)
    (file,) = table.snapshot().files
    damage(Path(file.path))
    name = Path(file.path).name
    snapshot = table.snapshot()
    with pytest.raises(TableDamagedError, match=f"raw/log.*{name}"):
        lake.table("raw/copy").write(snapshot.dataframe(spark))
    assert not lake.table("raw/copy").exists()
    with pytest.raises(TableDamagedError, match=name):
        list(Scan.of(snapshot).read_many(Scan.of(snapshot).blocks()))
    spark.sql(f"restore delta.`{table.path}` to version as of 1")  # as the error advises
    assert table.snapshot().dataframe(spark).toArrow().num_rows == 4


@pytest.fixture
def file_size_limit(spark: SparkSession) -> Iterator[Callable[[int], None]]:
    """Limit the size of files that the JVM may write: a full disk for any user."""
    process = spark._jvm.java.lang.ProcessHandle.current().pid()  # type: ignore[union-attr]
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow(
    spark: SparkSession, lake: Lake, file_size_limit: Callable[[int], None]
) -> None:
    table = lake.table("raw/large")
    table.write(spark.range(3))
    file_size_limit(100_000)
    with pytest.raises(WarehouseError, match=r"raw/large.* File too large; .*free space"):
        table.write(spark.range(0, 100_000, 1, 1).selectExpr("id", "uuid() as u"))
    assert (table.snapshot().version, table.snapshot().rows) == (0, 3)
    file_size_limit(resource.RLIM_INFINITY)
    assert table.write(spark.range(4)).version == 1


def mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this user may not mount file systems: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # The JVM may still hold a file of a write that failed.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=2m", "tmpfs")


@pytest.mark.slow
def test_a_full_disk(spark: SparkSession, small_disk: Path) -> None:
    lake = Lake(small_disk / "lake", spark)
    table = lake.table("raw/full")
    table.write(spark.range(0, 3, 1, 1))
    filler = small_disk / "filler"
    errors = 0
    for room in (0, 4, 8, 16, 64, 256):  # KiB: too little for rows, for the log, for neither
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                os.truncate(filler, max(file.tell() - room * 1024, 0))
        before = table.snapshot()
        try:
            table.write(spark.range(0, room + 5, 1, 1))
        except WarehouseError as error:
            errors += 1
            assert "No space left on device" in str(error) and "raw/full" in str(error)
            forget(spark)
            assert table.snapshot() == before
        else:
            assert table.snapshot().rows == room + 5
        os.truncate(filler, 0)
    assert errors >= 2
    table.write(spark.range(0, 7, 1, 1))
    forget(spark)
    assert table.snapshot().dataframe(spark).toArrow().num_rows == 7


@pytest.fixture
def read_only(lake: Lake) -> Iterator[Path]:
    """The lake with three versions of one table, read-only: by its rights, or by its mount."""
    three_versions(lake)
    root = Path(lake.root)
    if os.geteuid() == 0:  # to whom rights mean nothing
        for _ in mounted(root, "--bind", str(root)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True)
            yield root
        return
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield root
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.slow
def test_a_read_only_folder(spark: SparkSession, lake: Lake, read_only: Path) -> None:
    table = lake.table("raw/log")
    for write in (table, lake.table("raw/new")):
        with pytest.raises(WarehouseError, match=r"raw[/.](log|new).*right"):
            write.write(spark.range(3))
    assert table.snapshot().rows == 5 and not lake.table("raw/new").exists()
    with pytest.raises(WarehouseError, match="cannot be written"):
        lake.check_writable()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WarehouseError, match=r"a\.lock.*table raw/x is left as it is"),
        lock(tmp_path / "file" / "a.lock", "table raw/x"),
    ):
        pass
