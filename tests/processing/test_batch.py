"""`dualtilt batch`: sessions on Dask's workers, bad ones among them, killed workers, repeats."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import dask_jobqueue
import numpy as np
import pytest
from distributed import Client, KilledWorker

from controller.app.cli import batch, process
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from processing import Count, Counts, Diameter, SeriesSummary, Summary, write_images
from processing.batch import cluster, run_batch
from processing.batch.process_session import (
    SessionOutcome,
    SessionTask,
    State,
    complete_summary,
    process_session,
)
from processing.batch.results_lock import results_lock
from processing.errors import ResultsInUseError
from processing.files.rawtlt import write_rawtlt
from processing.parallel import limited_threads, usable_cores, worker_threads
from processing.pipeline import process_all
from processing.pipeline.made_with import GivenFacts, made_with
from processing.pipeline.results_folder import SeriesRecord
from processing.pipeline.settings import ProcessSettings
from processing.results import SeriesName, Trust
from tests.support.batch_verb import rows_of, run_verb
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 14.0)
DIAMETER = ("--diameter-nm", "6.3")
NAMES: tuple[SeriesName, ...] = ("A", "B")
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


@dataclass(frozen=True)
class Change:
    """A change after which a session is no longer complete, or still is."""

    id: str
    kept: bool
    settings: ProcessSettings = SETTINGS
    pixel_nm: float | None = None
    remove: str = ""
    touch: str = ""


CHANGES = [
    Change("nothing", kept=True),
    Change("another diameter", kept=False, settings=ProcessSettings(diameter_nm=6.5)),
    Change("another pixel size", kept=False, pixel_nm=1.0),
    Change("no summary", kept=False, remove="processed/summary.json"),
    Change("no record of B", kept=False, remove="processed/B.json"),
    Change("a particle list removed", kept=False, remove="processed/particles_fused.csv"),
    Change("a stack was copied again", kept=False, touch="B.mrc"),
    Change("angles were corrected", kept=False, touch="A.rawtlt"),
    Change("an mdoc was added", kept=False, touch="A.mrc.mdoc"),
    Change("B was removed", kept=False, remove="B.mrc"),
]


def complete_session(session: Path) -> Path:
    """Write input files, records and a summary as if a pair had been processed."""
    processed = session / "processed"
    processed.mkdir(parents=True)
    for name in ("A.mrc", "A.rawtlt", "B.mrc", "B.rawtlt", "processed/particles_fused.csv"):
        (session / name).touch()
    count = Count(n=13, n_low=13, n_high=13)
    diameter = Diameter(value=6.3, source="given")
    series = SeriesSummary(tilts=11, excluded=[], align_rms_px=0.1, tilt_axis_deg=0.0)
    for name in NAMES:
        record = SeriesRecord(
            pixel_nm=0.9,
            angles_deg=ANGLES.tolist(),
            count=count,
            diameter=diameter,
            summary=series,
            warnings=(),
            made_with=made_with(session, name, SETTINGS),
        )
        (processed / f"{name}.json").write_text(record.model_dump_json())
    summary = Summary(
        counts=Counts(A=count, B=count, fused=count),
        diameter_nm=diameter,
        series={"A": series, "B": series},
        pixel_nm=0.9,
        files={"particles_fused_csv": "processed/particles_fused.csv"},
    )
    (processed / "summary.json").write_text(summary.model_dump_json())
    return session


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.id)
def test_only_an_unchanged_session_is_kept(change: Change, tmp_path: Path) -> None:
    session = complete_session(tmp_path / "session")
    if change.remove:
        (session / change.remove).unlink()
    if change.touch:
        (session / change.touch).write_text("changed")
    inputs = {
        name: made_with(session, name, change.settings, GivenFacts(pixel_nm=change.pixel_nm))
        for name in NAMES
        if (session / f"{name}.mrc").exists()
    }
    assert (complete_summary(session, inputs) is not None) == change.kept


def outcome(state: State, verdict: Trust | None = None) -> SessionOutcome:
    counts = None if verdict is None else Counts(A=Count(n=1, n_low=1, n_high=1))
    return SessionOutcome(Path("s"), state, counts, verdict)


TRUSTED, COUNT_REFUSED = outcome(State.DONE, Trust.TRUSTED), outcome(State.KEPT, Trust.REFUSED)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        pytest.param([TRUSTED, outcome(State.DONE, Trust.DOUBTFUL)], ExitCode.OK, id="all done"),
        pytest.param([COUNT_REFUSED, TRUSTED], ExitCode.SAFETY, id="a count refused"),
        pytest.param([outcome(State.REFUSED), TRUSTED], ExitCode.SAFETY, id="fusion refused"),
        pytest.param([TRUSTED, outcome(State.IN_USE)], ExitCode.SAFETY, id="in use"),
        pytest.param(
            [outcome(State.FAILED), COUNT_REFUSED], ExitCode.PROCESSING_FAILED, id="one failed"
        ),
    ],
)
def test_exit_codes(outcomes: list[SessionOutcome], code: ExitCode) -> None:
    assert batch.exit_code(outcomes) == code


BAD = [
    ("no folder", ["none"], "none: no such folder"),
    ("an empty folder", ["empty"], "empty: no series A.*; nothing was processed"),
    (
        "two folders without series",
        ["empty", "empty/other"],
        "empty: no series A.*; 1 more cannot be processed either; nothing was",
    ),
    ("another cluster", [".", "--cluster", "cloud"], "give local, slurm, pbs or tcp://HOST:PORT"),
    ("no scheduler", [".", "--cluster", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
    ("no Slurm", [".", "--cluster", "slurm"], "sbatch: no such command"),
    ("no PBS", [".", "--cluster", "pbs"], "qsub: no such command"),
    ("negative retries", [".", "--retries", "-1"], "give 0 or more"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_bad_arguments_get_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "other").mkdir(parents=True)
    (tmp_path / "A.mrc").touch()
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(UsageError, match=message) as refused:
        run_verb(*arguments)
    assert "\n" not in str(refused.value)


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(batch, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'dualtilt\[cluster\]'"):
        run_verb(tmp_path)


def test_two_writers_of_one_session_exclude_each_other(tmp_path: Path) -> None:
    with results_lock(tmp_path), pytest.raises(ResultsInUseError), results_lock(tmp_path):
        pass
    with results_lock(tmp_path):
        pass


def test_a_session_that_records_is_left_alone(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    tmp_path.chmod(0o755)
    lock = FolderLock(folder)
    try:
        with pytest.raises(ResultsInUseError, match="a running session"), results_lock(tmp_path):
            pass
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("sessions", "cores", "threads"),
    [
        ({"10.0.0.1": usable_cores()}, None, 1),
        ({"10.0.0.1": 1}, None, usable_cores()),
        ({"10.0.0.1": 1}, 1, 1),
        ({"10.0.0.2": 8}, None, usable_cores()),
        ({"10.0.0.1": 1000}, None, 1),
    ],
)
def test_sessions_of_one_machine_share_its_cores(
    sessions: dict[str, int], cores: int | None, threads: int
) -> None:
    share = run_batch.WorkerShare(sessions, cores)
    assert share.threads("tls://10.0.0.1:4000") == threads
    with limited_threads(threads):
        assert worker_threads() == threads


@pytest.mark.parametrize(
    ("queue", "lines"),
    [
        ("slurm", ["#SBATCH --cpus-per-task=8", "#SBATCH --mem=30G", "--nthreads 1"]),
        ("pbs", ["#PBS -l select=1:ncpus=8:mem=32000MB", "--nthreads 1"]),
    ],
)
def test_a_job_of_a_queue_gets_its_cores_and_one_session_at_a_time(
    queue: str, lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = cluster.queue_options(queue, cluster.ClusterSize(3, 8, 32))
    with getattr(dask_jobqueue, cluster.QUEUES[queue][0])(**options) as jobs:
        script = jobs.job_script()
    assert [line for line in lines if line not in script] == []


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
