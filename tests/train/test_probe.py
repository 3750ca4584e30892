"""What the tasks find on their machines before any rank starts, and how it is told."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkmine.errors import (
    ConfigError,
    ExecutorsDifferError,
    PathNotSharedError,
    SparkmineError,
)
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import MLP, fit, network, probe
from sparkmine.train.task import refusal

# Under 10 on a quiet machine; the tests' is not.
REFUSED_SECONDS = 20


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    written = Lake(tmp_path_factory.mktemp("probe"), spark).table("rows")
    written.write(spark.range(100).selectExpr("double(id) AS x", "id % 2 AS y"))
    return written.snapshot()


def refused(
    table: Snapshot | DataFrame,
    spark: SparkSession,
    kind: type[SparkmineError],
    text: str,
    **settings: Any,
) -> None:
    """Refused by a real barrier stage in seconds, before any rank has imported TensorFlow."""
    events: list[dict[str, Any]] = []
    began = time.monotonic()
    with pytest.raises(kind, match=text):
        fit(
            MLP(),
            train=table,
            features=["x"],
            ranks=2,
            batch_size=10,
            spark=spark,
            progress=events.append,
            **settings,
        )
    assert time.monotonic() - began < REFUSED_SECONDS
    assert "imported" not in {event["event"] for event in events}


def python_path(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the Python workers, but not the driver, look for modules in `folder` first."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONPATH", path)


def test_another_version_on_the_executors(
    table: Snapshot,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Told before anything is done with the data."""
    caplog.set_level("INFO")
    for name, version in (("tensorflow", "2.17.0"), ("numpy", "1.26.4")):
        package = tmp_path / f"{name}-{version}.dist-info"
        package.mkdir()
        (package / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    python_path(spark, monkeypatch, tmp_path)
    here = probe.installed()
    text = (
        rf"on {socket.gethostname()}: tensorflow 2.17.0 \(driver: {here['tensorflow']}\), "
        rf"numpy 1 \(driver: {here['numpy']}\); give all machines"
    )
    frame, scratch = table.dataframe(spark), tmp_path / "scratch"
    refused(frame, spark, ExecutorsDifferError, text, scratch=scratch)
    assert "scratch table" not in caplog.text and not scratch.exists()


def test_executors_without_sparkmine(
    table: Snapshot, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sparkmine").mkdir()
    (tmp_path / "sparkmine" / "__init__.py").touch()
    python_path(spark, monkeypatch, tmp_path)
    # Or the folder in which the tests run comes first, and has it.
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONSAFEPATH", "1")
    refused(table, spark, ExecutorsDifferError, r"No module named 'sparkmine\.\w+'")


def test_a_missing_package_is_named() -> None:
    here = probe.installed()
    assert set(here) == {"sparkmine", "tensorflow", "keras", "horovod", "numpy"}
    # An executor that lacks what the driver has, as seen from the executor.
    expected = probe.Expected(versions={**here, "gone": "1.0"}, gpus=0, interface=None, mark=None)
    assert probe.look(expected, []) == [("EXECUTORS_DIFFER", "gone is missing (driver: 1.0)")]


def test_no_gpu_address() -> None:
    expected = probe.Expected(versions=probe.installed(), gpus=2, interface=None, mark=None)
    assert probe.look(expected, ["0"]) == [("GPU_MISSING", "1 of 2 GPU addresses were given")]
    assert probe.look(expected, ["0", "3"]) == []


def test_an_interface_that_is_not_there(
    table: Snapshot, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "there is no network interface wlan7 with an address, only lo"
    refused(table, spark, ConfigError, text, network_interface="wlan7")
    # Or as the executors' environment says.
    monkeypatch.setitem(spark.sparkContext.environment, "HOROVOD_GLOO_IFACE", "wlan8")
    refused(table, spark, ConfigError, "no network interface wlan8")


def test_a_checkpoint_that_the_executors_do_not_see(
    table: Snapshot, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A path that is another one in every process: the driver moves, its workers do not.
    monkeypatch.chdir(tmp_path)
    folder = "/proc/self/cwd/deep"
    text = rf"on {socket.gethostname()}: checkpoint={folder} is not the driver's"
    refused(table, spark, PathNotSharedError, text, checkpoint=folder)
    assert list((tmp_path / "deep").iterdir()) == []


def test_data_files_that_the_executors_do_not_see(
    table: Snapshot, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.path)
    here = "/proc/self/cwd"
    files = tuple(
        dataclasses.replace(file, path=file.path.replace(table.path, here)) for file in table.files
    )
    moved = dataclasses.replace(table, path=here, files=files)
    text = rf"on {socket.gethostname()}: there is no data file {files[0].path}; use a folder on a"
    refused(moved, spark, PathNotSharedError, text)


def test_a_checkpoint_that_the_driver_cannot_write(
    table: Snapshot, spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "deep"
    text = r"the driver cannot write there \(Not a directory\)"
    refused(table, spark, ConfigError, text, checkpoint=folder)


def test_a_checkpoint_that_a_task_cannot_write() -> None:
    # The driver's file is there, but nothing can be made beside it: also not by root.
    expected = probe.Expected(
        versions=probe.installed(), gpus=0, interface=None, mark="/proc/self/status"
    )
    ((code, text),) = probe.look(expected, [])
    assert code == "PATH_NOT_SHARED"
    assert text.startswith("checkpoint=/proc/self cannot be written (")


def test_the_summary_names_every_host_once() -> None:
    wrong = ("PATH_NOT_SHARED", "no such folder")
    said = [
        ("a", [wrong]),
        ("b", []),
        ("c", [wrong, ("EXECUTORS_DIFFER", "keras 2")]),
        ("a", [wrong]),
    ]
    assert probe.summary(said) == (
        "PATH_NOT_SHARED",
        "on a, c: no such folder; use a folder on a file system that every machine mounts",
    )
    assert probe.summary([("a", []), ("b", [])]) is None


def test_a_closed_port_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert network.why_unreachable("127.0.0.1", port) is None
    began = time.monotonic()
    assert network.why_unreachable("127.0.0.1", port) == "Connection refused"
    assert time.monotonic() - began < 1


def test_rank_0_behind_a_closed_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        meeting = {"host": "one", "address": "127.0.0.1", "port": port, "findings": []}
        assert refusal([meeting]) is None
    event = refusal([meeting])
    assert event is not None and event["code"] == "RANK_UNREACHABLE"
    assert event["message"].startswith(
        f"{socket.gethostname()} cannot connect to rank 0 on one (127.0.0.1 port {port}): "
        "Connection refused; open all ports"
    )


def test_route_to_this_machine_is_loopback() -> None:
    assert network.route("127.0.0.1", 1) == "127.0.0.1"
    assert network.interface_of("127.0.0.1") == "lo"
    assert network.addresses()["lo"][0] == "127.0.0.1"
