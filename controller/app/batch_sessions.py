"""Sessions of a batch with their settings, and the cluster that processes them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from controller.app.recorded_series import recorded_settings
from controller.common.errors import UsageError
from processing.batch import cluster
from processing.batch.find_series import find_series
from processing.batch.process_session import SessionOutcome, SessionTask, State
from processing.batch.run_batch import run_batch
from processing.batch.worker_watch import Patience
from processing.errors import ClusterError, InputFileError
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.settings import ProcessSettings

if TYPE_CHECKING:
    from distributed import Client

JOB = cluster.ClusterSize(workers=4, cores=4, memory_GB=16)
"""Jobs of a queue, if the operator asks for no others."""
WAIT_S = 300.0
"""Longest time without a worker, if the operator says nothing else and no queue is used."""


class Shown(Protocol):
    """Display of a batch."""

    def started(self, dashboard: str) -> None:
        """Show that the cluster has started, and the address of its dashboard."""

    def progressed(self, session: str, stage: str, fraction: float) -> None:
        """Show the stage of a session. Called on a thread of Dask."""

    def said(self, line: str) -> None:
        """Show a line about the cluster."""


@dataclass(frozen=True)
class BatchOptions:
    """Options of one batch, and its sessions.

    Attributes
    ----------
    folders
        All sessions in the order of the command.
    tasks
        Sessions that can be processed.
    failed
        Folders without series, or whose protocol cannot be read.
    """

    folders: list[Path]
    tasks: list[SessionTask]
    failed: list[SessionOutcome]
    cluster: str
    workers: int | None
    cores: int | None
    memory_GB: float | None
    retries: int
    wait_s: float | None

    @classmethod
    def of(cls, args: argparse.Namespace, chosen: dict[str, Any]) -> BatchOptions:
        """Return the options of the command line, with the settings of each session.

        `chosen` are the settings of processing that the user gave.

        Raises
        ------
        UsageError
            An option is wrong, a folder does not exist, or none can be processed.
        """
        if args.retries < 0:
            raise UsageError(f"--retries {args.retries}: give 0 or more")
        _require_cluster(args)
        folders = _different_folders(args.folders)
        given = GivenFacts(
            pixel_nm=args.pixel_nm, tilt_axis_deg=args.tilt_axis_deg, tilt_sense=args.tilt_sense
        )
        tasks, failed = [], []
        for folder in folders:
            try:
                find_series(folder)
                settings = ProcessSettings(**{**recorded_settings(folder), **chosen})
            except (InputFileError, UsageError) as error:
                failed.append(SessionOutcome(folder, State.FAILED, reason=str(error)))
            else:
                tasks.append(SessionTask(folder, settings, given, args.again))
        if not tasks:
            more = f"; {len(failed) - 1} more cannot be processed either" if len(failed) > 1 else ""
            raise UsageError(f"{failed[0].reason}{more}; nothing was processed")
        return cls(
            folders,
            tasks,
            failed,
            args.cluster,
            args.workers,
            args.cores,
            args.memory_GB,
            args.retries,
            args.wait_s,
        )


def run_sessions(options: BatchOptions, shown: Shown) -> Iterator[SessionOutcome]:
    """Yield the outcome of each session when it ends.

    Raises
    ------
    UsageError
        The cluster cannot be started or reached.
    """
    yield from options.failed
    if not options.tasks:
        return
    try:
        opened, cores = _cluster(options)
        with opened as client:
            shown.started(client.dashboard_link)
            yield from run_batch(
                client,
                options.tasks,
                retries=options.retries,
                cores=cores,
                on_progress=shown.progressed,
                patience=_patience(options, shown),
            )
    except ClusterError as error:
        raise UsageError(str(error)) from error


def _cluster(options: BatchOptions) -> tuple[AbstractContextManager[Client], int | None]:
    """Return the cluster, and the cores of each worker if these are known."""
    if options.cluster == "local":
        memory_limit_GB = max(task.settings.memory_limit_GB for task in options.tasks)
        size = cluster.local_size(options.workers, len(options.tasks), memory_limit_GB)
        return cluster.local_cluster(size), None
    if options.cluster in cluster.QUEUES:
        size = cluster.ClusterSize(
            min(options.workers or JOB.workers, len(options.tasks)),
            options.cores or JOB.cores,
            options.memory_GB or JOB.memory_GB,
        )
        return cluster.queue_cluster(options.cluster, size), size.cores
    return cluster.running_cluster(options.cluster), options.cores


def _patience(options: BatchOptions, shown: Shown) -> Patience:
    """Return the longest time without workers; jobs may wait in their queue for ever."""
    where, wait_s = options.cluster, options.wait_s
    if where in cluster.QUEUES:
        return Patience(wait_s or 0.0, f"the jobs wait in the queue of {where}", shown.said)
    advice = f"start one with: dask worker {where} --nthreads 1"
    if where == "local":
        advice = "workers on this machine end by themselves; see its memory"
    return Patience(WAIT_S if wait_s is None else wait_s, advice, shown.said)


def _require_cluster(args: argparse.Namespace) -> None:
    where: str = args.cluster
    if where not in ("local", *cluster.QUEUES) and not where.startswith(("tcp://", "tls://")):
        raise UsageError(f"--cluster {where}: give local, slurm, pbs or tcp://HOST:PORT")


def _different_folders(folders: list[Path]) -> list[Path]:
    """Return the folders as whole paths, each once, as all workers can reach them."""
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise UsageError(f"{missing[0]}: no such folder; nothing was processed")
    return list(dict.fromkeys(folder.resolve() for folder in folders))
