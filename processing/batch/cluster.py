"""Dask clusters that a batch runs on: this machine, a running cluster, Slurm or PBS."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.system import MEMORY_LIMIT
from tornado.ioloop import PeriodicCallback

from processing.errors import ClusterError
from processing.parallel import usable_cores

QUEUES = {"slurm": ("SLURMCluster", "sbatch"), "pbs": ("PBSCluster", "qsub")}
"""Class of dask-jobqueue, and the command that submits a job."""
CONNECT_S = 10
"""Longest time to wait for a running scheduler."""
ONE_AT_A_TIME = {"distributed.scheduler.worker-saturation": 1.0}
"""Setting of Dask by which a session waits at the scheduler, not at a busy worker."""
REFILL_MS = 30_000
"""Time between two looks for jobs that have ended and are submitted again."""
DASHBOARD = "127.0.0.1:0"
"""Address of the dashboard of a cluster that the batch starts: this machine, any free port."""


@dataclass(frozen=True)
class ClusterSize:
    """Workers of a cluster that the batch starts; each processes one session at a time."""

    workers: int
    cores: int
    """Cores of each worker."""
    memory_GB: float
    """Memory of each worker."""


def local_size(workers: int | None, sessions: int, memory_limit_GB: float) -> ClusterSize:
    """Return the size of a cluster on this machine.

    Parameters
    ----------
    workers
        Number of workers; None for as many as there are cores, memory and sessions for.
    memory_limit_GB
        Memory that the volumes of one session may take.
    """
    memory_GB, cores = MEMORY_LIMIT / 1e9, usable_cores()
    count = workers or max(1, min(cores, sessions, int(memory_GB / memory_limit_GB)))
    return ClusterSize(count, max(1, cores // count), memory_GB / count)


class IgnoreCtrlC(WorkerPlugin):
    """Leave Ctrl-C, which a terminal sends to all its processes, to the batch."""

    def setup(self, worker: Worker) -> None:
        """Ignore the signal in the worker's process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def local_cluster(size: ClusterSize) -> Iterator[Client]:
    """Start workers on this machine; they end with this context.

    Connections are encrypted with temporary keys, so that no other user of the machine reaches
    the workers.

    Raises
    ------
    ClusterError
        The workers do not start.
    """
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(ONE_AT_A_TIME))
        try:
            cluster = opened.enter_context(
                LocalCluster(
                    n_workers=size.workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=int(size.memory_GB * 1e9),
                    security=True,
                    dashboard_address=DASHBOARD,
                    silence_logs=logging.CRITICAL,
                )
            )
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"the {size.workers} workers on this machine did not start ({_one_line(error)}); "
                "see its memory and load, or give fewer --workers"
            ) from error
        client = opened.enter_context(Client(cluster))
        client.register_plugin(IgnoreCtrlC())
        yield client


@contextmanager
def running_cluster(address: str) -> Iterator[Client]:
    """Connect to a running scheduler.

    Raises
    ------
    ClusterError
        It does not answer.
    """
    with _quiet_client(), ExitStack() as opened:
        try:
            client = opened.enter_context(Client(address, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"{address}: no Dask scheduler answers ({_one_line(error)}); start one with: "
                "dask scheduler"
            ) from error
        yield client


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep Dask's own lines about a lost scheduler from the terminal; the batch says it."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def require_one_task_each(client: Client) -> None:
    """Refuse workers that process several sessions at a time in one process.

    Raises
    ------
    ClusterError
        There is such a worker.
    """
    for worker, tasks in client.nthreads().items():
        if tasks > 1:
            raise ClusterError(
                f"worker {worker} runs {tasks} tasks at a time in one process; "
                "start it with: dask worker --nthreads 1"
            )


@contextmanager
def queue_cluster(queue: str, size: ClusterSize) -> Iterator[Client]:
    """Submit one job for each worker to Slurm or PBS; the jobs end with this context.

    Raises
    ------
    ClusterError
        dask-jobqueue or the command that submits jobs is missing, or a setting of the queue is.
    """
    name, command = QUEUES[queue]
    if shutil.which(command) is None:
        raise ClusterError(
            f"{command}: no such command on this machine; run the batch where jobs are submitted"
        )
    cluster_class = getattr(import_module("dask_jobqueue"), name)
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(ONE_AT_A_TIME))
        try:
            cluster = opened.enter_context(cluster_class(**queue_options(queue, size)))
            cluster.scale(jobs=size.workers)
        except (OSError, ValueError, RuntimeError) as error:
            raise ClusterError(f"{queue}: {_one_line(error)}") from error
        # Dask does not replace a job that has ended, for example at its time limit
        refill = PeriodicCallback(lambda: cluster.scale(jobs=size.workers), REFILL_MS)
        cluster.loop.add_callback(refill.start)
        opened.callback(cluster.loop.add_callback, refill.stop)
        yield opened.enter_context(Client(cluster))


def queue_options(queue: str, size: ClusterSize) -> dict[str, Any]:
    """Return the arguments of dask-jobqueue's cluster for workers of one task at a time.

    Partition, account, time and network come from Dask's own file, ~/.config/dask/jobqueue.yaml.
    """
    memory = f"{size.memory_GB:g}GB"
    options: dict[str, Any] = {
        "cores": 1,  # tasks at a time, as dask-jobqueue understands it
        "processes": 1,
        "memory": memory,
        "protocol": "tls://",
        "security": True,
        "shared_temp_directory": str(Path.home()),
        "scheduler_options": {"dashboard_address": ":0"},
    }
    if queue == "slurm":
        return {**options, "job_cpu": size.cores}
    memory_MB = round(size.memory_GB * 1000)
    return {**options, "resource_spec": f"select=1:ncpus={size.cores}:mem={memory_MB}MB"}


def sessions_by_host(client: Client) -> dict[str, int]:
    """Return the number of sessions that each machine processes at a time."""
    counts: dict[str, int] = {}
    for address, facts in client.scheduler_info(n_workers=-1)["workers"].items():
        host = host_of(address)
        counts[host] = counts.get(host, 0) + int(facts["nthreads"])
    return counts


def host_of(address: str) -> str:
    """Return the machine in a worker's address."""
    return urlsplit(address).hostname or address


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
