"""`dualtilt batch`: sessions on Dask's workers, bad ones among them, killed workers, repeats."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, KilledWorker

from controller.app.cli import process
from controller.common.exit_codes import ExitCode
from processing import Summary, write_images
from processing.batch import cluster, run_batch
from processing.batch.process_session import SessionOutcome, SessionTask, State, process_session
from processing.files.rawtlt import write_rawtlt
from processing.parallel import limited_threads
from processing.pipeline import process_all
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.settings import ProcessSettings
from tests.support.batch_verb import rows_of, run_verb
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 14.0)
DIAMETER = ("--diameter-nm", "6.3")
SETTINGS = ProcessSettings(diameter_nm=6.3)


def write_pair(folder: Path) -> Path:
    """Write a pair of series of 13 particles."""
    points = packed(12, 8.6, order="fcc", seed=3) + np.array([1.0, -0.8, 0.5])
    points = points + np.random.default_rng(3).normal(0, 0.2, points.shape)
    points = points[points[:, 2] < 11]
    folder.mkdir()
    for name, seen in (("A", points), ("B", points * [1, -1, -1])):
        taken = jittered(len(ANGLES), jitter_px=0.5, angle_error_deg=0.05, counts=500, seed=1)
        series = tilt_series(seen, ANGLES, 7.0, 40, taken)
        write_images(folder / f"{name}.mrc", series.images, 0.9)
        write_rawtlt(folder / f"{name}.rawtlt", ANGLES)
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers on this machine, as the verb starts them."""
    with cluster.local_cluster(cluster.ClusterSize(workers=2, cores=1, memory_GB=4)) as client:
        yield client


@pytest.fixture
def on_client(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The verb uses these workers, too."""
    monkeypatch.setattr(cluster, "local_cluster", lambda size: nullcontext(client))
    return client


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A pair, one whose B is no stack, and a single series."""
    root = tmp_path_factory.mktemp("sessions")
    pair = write_pair(root / "pair")
    broken = shutil.copytree(pair, root / "broken")
    (broken / "B.mrc").write_text("text")
    return [pair, broken, single_of(pair, root / "single")]


def single_of(pair: Path, folder: Path) -> Path:
    """Copy series A of a pair."""
    return shutil.copytree(pair, folder, ignore=shutil.ignore_patterns("B.*", "processed"))


def results(session: Path) -> dict[str, bytes]:
    """Return the particle lists of a session, and its summary without the paths of its inputs."""
    processed = session / "processed"
    summary = Summary.model_validate_json((processed / "summary.json").read_text())
    series = {name: one.model_copy(update={"inputs": None}) for name, one in summary.series.items()}
    found = {path.name: path.read_bytes() for path in sorted(processed.glob("particles_*"))}
    plain = summary.model_copy(update={"series": series, "warnings": []})
    return {**found, "summary": plain.model_dump_json().encode()}


def test_three_pairs_one_of_them_broken_and_nothing_is_processed_twice(
    on_client: Client,
    folders: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "table.csv"
    assert run_verb(*folders, *DIAMETER, "--table", table) == ExitCode.PROCESSING_FAILED
    printed = capsys.readouterr()
    assert "dashboard: http://127.0.0.1:" in printed.err
    assert len([line for line in printed.err.splitlines() if line[1:3] == "/3"]) == 3
    rows = rows_of(table)
    assert (rows[0]["A"], rows[0]["B"], rows[0]["fused"]) == ("13", "13", "13")
    assert [Path(row["folder"]).name for row in rows] == ["pair", "broken", "single"]
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert [row["verdict"] for row in rows] == ["trusted", "", "trusted"]
    assert "no MRC file" in rows[1]["reason"]
    assert [bool(row["fused"]) for row in rows] == [True, False, False]
    assert rows[0]["fused"] in printed.out
    assert not (folders[1] / "processed" / "summary.json").exists()
    written = {path.name for path in folders[0].iterdir()}
    assert written == {"A.mrc", "A.rawtlt", "B.mrc", "B.rawtlt", "processed"}
    assert not list(folders[0].rglob("unfinished"))

    by_process = argparse.ArgumentParser()
    process.add_arguments(by_process)
    stacks = [str(folders[0] / name) for name in ("A.mrc", "B.mrc")]
    with limited_threads(1):
        process.run(by_process.parse_args([*stacks, "--out", str(tmp_path / "one"), *DIAMETER]))
    assert results(folders[0]) == results(tmp_path / "one")

    before = (folders[0] / "processed" / "summary.json").stat().st_mtime_ns
    good = (folders[0], folders[2])
    assert run_verb(*good, *DIAMETER, "--table", table) == ExitCode.OK
    again = rows_of(table)
    assert [row["state"] for row in again] == ["kept", "kept"]
    assert [row["fused"] for row in again] == [rows[0]["fused"], ""]
    assert (folders[0] / "processed" / "summary.json").stat().st_mtime_ns == before


class FakeFuture:
    """Ended task of a session: its workers died, or it is done."""

    def __init__(self, task: SessionTask, *, died: bool) -> None:
        self._task, self._died = task, died

    def exception(self) -> Exception | None:
        return KilledWorker("key", None, 3) if self._died else None  # type: ignore[arg-type]

    def result(self) -> SessionOutcome:
        return SessionOutcome(self._task.session, State.DONE)


def test_a_session_whose_workers_died_is_tried_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers die of `bad`; a death counts against `neighbour`, which waited there, too."""
    tasks = [
        SessionTask(Path(name), SETTINGS, GivenFacts(), again=False)
        for name in ("bad", "neighbour", "other")
    ]
    tried: list[list[str]] = []

    def each_ended(client: Client, tasks: list[SessionTask], *_: object) -> Iterator[object]:
        names = [task.session.name for task in tasks]
        tried.append(names)
        for task, name in zip(tasks, names, strict=True):
            died = name == "bad" or (name == "neighbour" and "bad" in names)
            yield task, FakeFuture(task, died=died)

    monkeypatch.setattr(run_batch, "_each_ended", each_ended)
    outcomes = {one.session.name: one for one in run_batch.run_batch(client, tasks, retries=0)}
    assert tried == [["bad", "neighbour", "other"], ["bad"], ["neighbour"]]
    assert {name: one.state for name, one in outcomes.items()} == {
        "other": State.DONE,
        "bad": State.FAILED,
        "neighbour": State.DONE,
    }
    assert outcomes["bad"].reason.startswith("4 workers died of this session")


def kill_this_worker_after_series_a(marker: str) -> None:
    """Let the first worker that has written a series die."""
    write = process_all.write_series_result

    def write_and_die(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        if not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    process_all.write_series_result = write_and_die  # type: ignore[assignment]


def test_a_killed_worker_changes_no_result(
    client: Client, folders: list[Path], tmp_path: Path
) -> None:
    session, marker = single_of(folders[0], tmp_path / "killed"), tmp_path / "died"
    client.run(kill_this_worker_after_series_a, str(marker))
    task = SessionTask(session, SETTINGS, GivenFacts(), again=False)
    stages: list[str] = []
    outcomes = list(
        run_batch.run_batch(
            client, [task], retries=0, on_progress=lambda session, stage, done: stages.append(stage)
        )
    )
    assert marker.exists()
    assert [outcome.state for outcome in outcomes] == [State.DONE]
    undisturbed = single_of(folders[0], tmp_path / "undisturbed")
    with limited_threads(1):
        process_session(SessionTask(undisturbed, SETTINGS, GivenFacts(), again=False))
    assert results(session) == results(undisturbed)
    assert stages.count("SIRT") == 2  # the worker that died, and another one
    assert not list(session.rglob("unfinished"))
