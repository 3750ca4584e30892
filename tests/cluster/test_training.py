"""Ranks on a real standalone cluster: what is refused, GPU addresses, a lost executor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.train import network

if TYPE_CHECKING:
    # Modules of the tests cannot be imported here: the fixture brings the object.
    from conftest import Cluster, Submitted

SCRIPTS = Path(__file__).parent


def seconds(ended: Submitted) -> float:
    """How long the fit took until it was refused, as the script says."""
    (line,) = [
        line for line in ended.output.splitlines() if line.endswith(" s") and line[0].isdigit()
    ]
    return float(line.removesuffix(" s"))


@pytest.mark.slow
def test_more_ranks_than_the_executors_have_slots(cluster: Cluster) -> None:
    ended = cluster.submit(SCRIPTS / "refused.py", "3", "0")
    assert ended.code != 0
    assert "TooFewSlotsError: TOO_FEW_SLOTS: 3 ranks need 3 slots at once" in ended.output
    assert f"{cluster.master} gives this application 2" in ended.output


@pytest.mark.slow
def test_gpus_that_no_executor_has(cluster: Cluster) -> None:
    ended = cluster.submit(SCRIPTS / "refused.py", "2", "1")
    assert ended.code != 0
    text = "GPU_MISSING: gpus_per_rank=1, but executors have 0: set spark.executor.resource.gpu"
    assert text in ended.output
    assert seconds(ended) < 10


@pytest.mark.slow
def test_dynamic_allocation_is_refused_with_the_ways_out(cluster: Cluster) -> None:
    conf = {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    }
    ended = cluster.submit(SCRIPTS / "refused.py", "2", "0", conf=conf)
    assert ended.code != 0
    assert "DYNAMIC_ALLOCATION_ON: " in ended.output
    assert "set spark.dynamicAllocation.enabled=false, or only for training, by a submit" in (
        ended.output
    )
    assert seconds(ended) < 10


@pytest.mark.slow
def test_every_rank_has_its_gpu_and_the_chosen_interface(
    gpu_cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "ranks"
    folder.mkdir()
    conf = {"spark.executor.resource.gpu.amount": "1"}
    # Not the one that the route would choose, where there is another.
    interface = [*sorted(set(network.addresses()) - {"lo"}), "lo"][0]
    ended = gpu_cluster.submit(SCRIPTS / "gpu_ranks.py", str(folder), interface, conf=conf)
    assert ended.code == 0, ended.output[-4000:]
    found = {file.name: file.read_text() for file in folder.glob("rank-*")}
    assert set(found) == {"rank-0", "rank-1"}
    assert set(found.values()) == {f"3 {interface}", f"5 {interface}"}
    ended = gpu_cluster.submit(SCRIPTS / "refused.py", "3", "1", conf=conf)
    assert "TOO_FEW_SLOTS: 3 ranks need 3 slots at once" in ended.output
    assert "gives this application 2" in ended.output


@pytest.mark.slow
def test_every_scoring_worker_has_its_gpu(gpu_cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    conf = {
        "spark.executor.resource.gpu.amount": "1",
        "spark.task.resource.gpu.amount": "1",
        "spark.submit.pyFiles": str(SCRIPTS / "gpu_layer.py"),
    }
    ended = gpu_cluster.submit(SCRIPTS / "gpu_scoring.py", str(folder), conf=conf)
    assert ended.code == 0, ended.output[-4000:]
    assert sorted(file.read_text() for file in folder.glob("worker-*")) == ["3", "5"]


@pytest.mark.slow
def test_a_lost_executor_is_met_with_a_restart(cluster: Cluster, tmp_path: Path) -> None:
    ended = cluster.submit(SCRIPTS / "killed_executor.py", str(tmp_path))
    assert ended.code == 0, ended.output[-4000:]
    (line,) = [line for line in ended.output.splitlines() if line.startswith("RESULT ")]
    said = json.loads(line.removeprefix("RESULT "))
    assert said["epochs"] == list(range(1, 301))
    assert said["reason"].startswith("rank 1 of 2 on ")
    assert "vanished with its Spark task" in said["reason"]
    assert "a network for 1 columns" in said["reason"]
    assert said["left"] == []
    assert said["seconds"] < 60
