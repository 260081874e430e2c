"""`dualtilt batch` on a cluster whose workers or scheduler are missing or go; SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from distributed import LocalCluster, default_client

from controller.app import batch_sessions
from controller.app.cli.batch_progress import _Lines
from controller.common.ctrl_c import sigterm_as_ctrl_c
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from processing.batch import cluster, run_batch, worker_watch
from processing.batch.process_session import SessionOutcome, SessionTask, State
from processing.batch.worker_watch import Patience, WorkerWatch
from processing.errors import ClusterError, NoWorkersError
from tests.support.batch_verb import rows_of, run_verb


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """A scheduler that runs already, in this process, without workers; all waits are short."""
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    for module in (run_batch, worker_watch):
        monkeypatch.setattr(module, "POLL_S", 0.05)
    monkeypatch.setattr(worker_watch, "SAID_AFTER_S", 0.1)
    with LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as running:
        yield running


def test_a_worker_of_several_tasks_at_a_time_is_refused() -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as running,
        cluster.running_cluster(running.scheduler_address) as client,
        pytest.raises(ClusterError, match="--nthreads 1"),
    ):
        list(run_batch.run_batch(client, [], retries=0))


def with_stacks(folder: Path) -> Path:
    """Make a folder of two series that nobody reads."""
    folder.mkdir(exist_ok=True)
    for name in ("A.mrc", "B.mrc"):
        (folder / name).touch()
    return folder


def test_a_scheduler_without_workers_is_named_and_left(
    scheduler: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = scheduler.scheduler_address
    with pytest.raises(UsageError, match=r"no worker for 0\.3 s; start one with: dask worker tcp"):
        run_verb(with_stacks(tmp_path), "--cluster", where, "--wait-s", 0.3)
    said = capsys.readouterr().err
    assert f"waits for a worker: start one with: dask worker {where} --nthreads 1; gives up" in said


def lose_scheduler(running: LocalCluster) -> None:
    """Do to the batch's futures what Dask does when the connection breaks."""
    client = default_client()
    for state in list(client.futures.values()):
        client.loop.add_callback(state.cancel, reason="scheduler-connection-lost", msg="lost")


def lose_workers(running: LocalCluster) -> None:
    running.scale(0)


@pytest.mark.parametrize(
    ("lose", "reason"),
    [(lose_scheduler, "scheduler lost; start it"), (lose_workers, "no worker for 0.3 s")],
)
def test_sessions_left_are_failed_when_the_cluster_goes(
    lose: Callable[[LocalCluster], None],
    reason: str,
    scheduler: LocalCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first session of three ends, then the cluster goes while a worker has the second."""
    folders = [with_stacks(tmp_path / name) for name in ("s1", "s2", "s3")]
    released = threading.Event()

    def process(task: SessionTask, progress: object) -> SessionOutcome:
        if task.session.name != "s1":
            released.wait(20)
        return SessionOutcome(task.session, State.DONE)

    shown = _Lines.ended

    def ended(self: _Lines, outcome: SessionOutcome) -> None:
        shown(self, outcome)
        if outcome.state is State.DONE:
            lose(scheduler)

    monkeypatch.setattr(run_batch, "process_session", process)
    monkeypatch.setattr(_Lines, "ended", ended)
    scheduler.scale(1)
    options = ("--cluster", scheduler.scheduler_address, "--wait-s", 0.3)
    code = run_verb(*folders, *options, "--table", tmp_path / "table.csv")
    released.set()
    assert code == ExitCode.PROCESSING_FAILED
    rows = rows_of(tmp_path / "table.csv")
    assert [row["state"] for row in rows] == ["done", "failed", "failed"]
    assert all(reason in row["reason"] for row in rows[1:])
    assert "2 of 3 sessions left" in capsys.readouterr().err


class Clock:
    """Time that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("limit_s", "workers", "told", "ended"),
    [
        pytest.param(300, [(0, 0), (4, 0)], 0, False, id="a few seconds"),
        pytest.param(300, [(0, 0), (6, 0), (200, 0)], 1, False, id="told once"),
        pytest.param(300, [(0, 0), (299, 0), (301, 0)], 1, True, id="limit"),
        pytest.param(0, [(0, 0), (6, 0), (1e6, 0)], 1, False, id="for ever"),
        pytest.param(300, [(0, 0), (299, 0), (300, 2), (301, 0)], 1, False, id="a worker came"),
        pytest.param(300, [(0, 2), (900, 0), (910, 0), (1300, 0)], 1, True, id="all left"),
    ],
)
def test_a_cluster_may_be_without_workers_for_a_limited_time(
    limit_s: float, workers: list[tuple[float, int]], told: int, ended: bool
) -> None:
    said: list[str] = []
    clock = Clock()
    watch = WorkerWatch(Patience(limit_s, "start one", said.append), clock)
    with pytest.raises(NoWorkersError) if ended else nullcontext():
        for clock.now_s, count in workers:
            watch.note(count)
    assert len(said) == told


def test_sigterm_is_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_sessions(*_: object) -> Iterator[SessionOutcome]:
        yield SessionOutcome(tmp_path, State.DONE)
        os.kill(os.getpid(), signal.SIGTERM)
        yield SessionOutcome(tmp_path, State.FAILED)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(batch_sessions, "run_sessions", run_sessions)
    folders = [with_stacks(folder) for folder in (tmp_path, tmp_path / "other")]
    table = tmp_path / "table.csv"
    with sigterm_as_ctrl_c():
        assert run_verb(*folders, "--table", table) == ExitCode.INTERRUPTED
    assert [row["state"] for row in rows_of(table)] == ["done"]
    assert "interrupted with 1 sessions left" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before
