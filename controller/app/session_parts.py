"""Parts that a session's process and the process of its results have in common."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from controller.app.start_session import ERROR_PREFIX
from controller.common.errors import (
    NO_MEMORY,
    DualtiltError,
    UsageError,
    no_memory_text,
    os_error_text,
)
from controller.common.exit_codes import ExitCode
from controller.model.commands import StopWhen
from controller.model.events import Alerted, Level, Phase, PhaseStarted, Publish, Record
from controller.model.protocol import Protocol
from controller.service.notify import Notifier
from controller.service.session_server import SessionService
from controller.service.session_status import SessionStatus
from controller.session.event_log import EventLog, read_events
from controller.session.folder import SessionFolder
from controller.session.grid_folder import simulator_home
from controller.session.session import Session
from processing.files.atomic import remove_file, replace_text
from processing.files.held_folder import reached_folder


def open_session(
    folder: SessionFolder, stack: ExitStack, exit_code: Callable[[], ExitCode]
) -> tuple[Session, SessionService]:
    """Open a session with its log, its status and its messages; `stack` closes them.

    Parameters
    ----------
    exit_code
        Gives the exit code of the process, which ends the status.
    """
    session = Session.open(folder)
    stack.callback(session.close)
    past = read_events(folder.events)
    log = EventLog(folder.events)
    stack.callback(log.close)
    service = SessionService(folder.path, log.append, past, _replace_soon, remove_file)
    stack.callback(lambda: service.close(exit_code()))
    notify = session.protocol.notify
    if notify.sends_messages:
        notifier = Notifier(notify, session.protocol.name, str(folder.path), service.publish)
        stack.callback(notifier.close)
        stack.callback(service.flush)  # the last message is about the last event
        service.listeners.append(notifier.notify)
    return session, service


def run_in_process(run: Callable[[], tuple[ExitCode, str]], folder: Path) -> int:
    """Run a session or its results; return the exit code, with the reason on standard error."""
    try:
        exit_code, reason = run()
    except DualtiltError as error:
        exit_code, reason = error.exit_code, str(error)
    except NO_MEMORY as error:
        exit_code, reason = ExitCode.SAFETY, no_memory_text(error, folder)
    if exit_code != ExitCode.OK and reason:
        sys.stderr.write(f"{ERROR_PREFIX}{reason}\n")
    return exit_code


@contextmanager
def refused_in_one_line(path: Path) -> Iterator[None]:
    """Turn what the system refuses at the start (files, threads, memory) into one line.

    Raises
    ------
    UsageError
        The session cannot start; nothing was exposed.
    """
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "thread" not in str(error):
            raise  # a mistake of ours, which needs its traceback
        reason = str(error) or "no memory left"
        if isinstance(error, OSError):
            reason = os_error_text(error)
        raise UsageError(
            f"{path}: the session cannot start: {reason}; correct this and try again"
        ) from None


def _replace_soon(path: Path, text: str, mode: int) -> None:
    """Replace a file that may be lost in a power failure: it is written often, or again."""
    replace_text(path, text, durable=False, mode=mode)


def load_figures_beside_the_fusion(record: Record, _: SessionStatus) -> None:
    """Load what the report needs while the jobs child fuses, so that nobody waits for it later."""
    event = record.event
    if isinstance(event, PhaseStarted) and event.phase is Phase.FUSE:
        Thread(target=import_module, args=("controller.report.write",), daemon=True).start()


def write_report(path: Path, protocol: Protocol, publish: Publish) -> Path:
    """Score a simulated session against its truth, then write the report."""
    # loaded only now: the figures' library would take a third of a session's start
    from controller.report.write import write_report

    with reached_folder(path) as folder:
        try:
            _score(folder, path, protocol)
        except (OSError, ValueError) as error:
            text = f"the simulated session could not be scored: {error}"
            publish(Alerted(level=Level.WARNING, text=text, where="report"))
        return path / write_report(folder).name


def _score(folder: Path, path: Path, protocol: Protocol) -> None:
    """Compare the particle tables in a held folder with the simulator's truth, if there is one."""
    world = folder / "simulator" / "world.json"
    target = protocol.own_target
    if target is not None:  # the simulator belongs to the grid
        world = simulator_home(SessionFolder(path), protocol).simulator / "world.json"
    if not world.exists():
        return
    if target is not None:
        write_truth_at = import_module("simulator.truth").write_truth_at
        write_truth_at(world, (target.x_nm, target.y_nm), folder / "truth.csv")
    import_module("simulator.scoring").write_accuracy(folder)


def stop_on_signal(stop_run: Callable[[StopWhen], None]) -> None:
    """Stop the run at SIGTERM and SIGINT."""
    # on a separate thread, which exists already: the main one may hold a lock of the run, and
    # when the signal comes the system may refuse another thread
    signals: SimpleQueue[None] = SimpleQueue()

    def obey() -> None:
        while True:
            signals.get()
            stop_run(StopWhen.NOW)

    Thread(target=obey, name="signals", daemon=True).start()

    def stop(*_: object) -> None:
        signals.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
