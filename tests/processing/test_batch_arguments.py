"""Arguments and exit codes of `dualtilt batch`; cores and jobs that sessions get."""

from __future__ import annotations

from pathlib import Path

import dask_jobqueue
import pytest

from controller.app.cli import batch
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from processing import Count, Counts
from processing.batch import cluster, run_batch
from processing.batch.process_session import SessionOutcome, State
from processing.parallel import limited_threads, usable_cores, worker_threads
from processing.results import Trust
from tests.support.batch_verb import run_verb


def outcome(state: State, verdict: Trust | None = None) -> SessionOutcome:
    counts = None if verdict is None else Counts(A=Count(n=1, n_low=1, n_high=1))
    return SessionOutcome(Path("s"), state, counts, verdict)


TRUSTED, COUNT_REFUSED = outcome(State.DONE, Trust.TRUSTED), outcome(State.KEPT, Trust.REFUSED)


@pytest.mark.parametrize("table", ["", "none/t.csv"])
def test_a_table_that_cannot_be_written_is_refused_before_anything_is_processed(
    table: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="nothing was processed"):
        run_verb(tmp_path, "--table", str(tmp_path / table))


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
    with pytest.raises(UsageError, match=r"pip install -e '\.\[cluster\]'"):
        run_verb(tmp_path)


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
