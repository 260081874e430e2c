"""Session process: connects engine, worker, service and bridge, and runs one session.

The verbs `run`, `demo` and `resume` start ``python -m controller.app.session_process FOLDER``. It
continues when their terminal is closed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from controller.app.profiles import simulator_profile
from controller.app.start_session import ERROR_PREFIX
from controller.bridge.remote_microscope import connect
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.common.errors import (
    NO_MEMORY,
    DualtiltError,
    UsageError,
    library_failure_as_system_error,
    no_memory_text,
    os_error_text,
)
from controller.common.exit_codes import ExitCode
from controller.common.runtime_folder import runtime_folder
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.hardware.limits import SessionLimits
from controller.model.commands import StopWhen
from controller.model.events import (
    Alerted,
    Event,
    Level,
    Phase,
    PhaseStarted,
    Publish,
    Record,
)
from controller.model.protocol import Protocol
from controller.rehearsal.demo_operator import DemoOperator
from controller.service.notify import Notifier
from controller.service.session_server import SessionService
from controller.service.session_status import SessionStatus
from controller.session.event_log import EventLog, read_events
from controller.session.folder import SessionFolder
from controller.session.grid_folder import simulator_home
from controller.session.session import Session
from controller.worker.supervisor import Supervisor
from processing.files.atomic import make_folder, remove_file, replace_text
from processing.files.held_folder import reached_folder
from processing.live.count_size import reduction


class SimulatorBridge:
    """Bridge to the simulator, started when it is not running."""

    def __init__(self, folder: SessionFolder, session: Session, sockets: Path) -> None:
        home = self._folder = simulator_home(folder, session.protocol)
        self._settings = simulator_profile(session.protocol, home.protocol)
        self._sockets = sockets
        self._bridge: BridgeProcess | None = None

    def connection_file(self) -> Path:
        """Return the connection file of the running bridge; start a bridge if none runs."""
        if self._bridge is None or not self._bridge.running():
            self.close()  # releases what a dead bridge leaves
            make_folder(self._folder.simulator)
            with reached_folder(self._folder.path) as works_in:
                self._bridge = start_bridge(
                    self._sockets,
                    settings=self._inside(self._settings),
                    state=self._inside(self._folder.simulator / "world.json"),
                    faults=[self._inside(file) for file in self._fault_lists()],
                    works_in=works_in,
                )
        return self._bridge.connection_file

    def _inside(self, path: Path) -> Path:
        """Return the path relative to the session's folder, in which the bridge works."""
        return path.relative_to(self._folder.path)

    def _fault_lists(self) -> list[Path]:
        return sorted(self._folder.faults.glob("*.toml"))

    def close(self) -> None:
        """End the bridge with the column safe."""
        if self._bridge is not None:
            self._bridge.terminate()


def run_session(path: Path, bridge: Path | None) -> ExitCode:
    """Run or resume the session in a folder.

    Parameters
    ----------
    path
        The session's folder, made by `controller.app.start_session.new_session`.
    bridge
        Connection file of the microscope's bridge; None starts a bridge for the simulator.

    Raises
    ------
    DualtiltError
        The session could not be started; nothing was exposed.
    """
    folder = SessionFolder(path)
    exit_code = ExitCode.INTERNAL_ERROR
    with ExitStack() as stack:
        with library_failure_as_system_error(), _refused_in_one_line(path):
            engine, service = _assemble(folder, bridge, stack, lambda: exit_code)
        exit_code = engine.run()
    reason = service.store.status.reason  # every event is published by now
    if exit_code != ExitCode.OK and reason:
        sys.stderr.write(f"{ERROR_PREFIX}{reason}\n")
    return exit_code


@contextmanager
def _refused_in_one_line(path: Path) -> Iterator[None]:
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


def _assemble(
    folder: SessionFolder, bridge: Path | None, stack: ExitStack, exit_code: Callable[[], ExitCode]
) -> tuple[Engine, SessionService]:
    """Open the session and connect its parts; `stack` closes them."""
    session = Session.open(folder)
    stack.callback(session.close)
    past = read_events(folder.events)
    log = EventLog(folder.events)
    stack.callback(log.close)
    service = SessionService(folder.path, log.append, past, _replace_soon, remove_file)
    stack.callback(lambda: service.close(exit_code()))
    publish: Publish = service.publish
    notify = session.protocol.notify
    if notify.sends_messages:
        notifier = Notifier(notify, session.protocol.name, str(folder.path), service.publish)
        stack.callback(notifier.close)
        stack.callback(service.flush)  # the last message is about the last event
        service.listeners.append(notifier.notify)
    if session.protocol.flip.answers_itself:
        publish = _publish_to_both(publish, _demo_operator(folder, lambda: engine))
    full_size = reduction(session.protocol.scan.width_px) == 1
    jobs = Supervisor(folder.path, publish, counts_at_full_size=full_size)
    stack.callback(jobs.close)
    service.listeners.append(_load_figures_beside_the_fusion)
    engine = Engine(
        session,
        _connector(session, _bridge_finder(folder, session, bridge, stack)),
        jobs,
        publish,
        lambda where: _write_report(where, session.protocol, publish),
    )
    stack.callback(engine.watch_disk().close)
    _stop_on_signal(engine)
    service.serve(engine)
    return engine, service


def _replace_soon(path: Path, text: str, mode: int) -> None:
    """Replace a file that may be lost in a power failure: it is written often, or again."""
    replace_text(path, text, durable=False, mode=mode)


def _demo_operator(folder: SessionFolder, engine: Callable[[], Engine]) -> DemoOperator:
    """Return a simulated operator who answers prompts and, with a list of faults, ends pauses."""
    return DemoOperator(
        lambda answer: engine().answer(answer),
        (lambda: engine().go_on()) if folder.faults.exists() else None,
    )


def _publish_to_both(first: Publish, second: Publish) -> Publish:
    """Return a function that publishes to both and never raises, as `first` does not."""

    def publish(event: Event) -> None:
        first(event)
        try:
            second(event)
        except Exception as error:  # noqa: BLE001 -- the simulated operator must not end a session
            text = f"the simulated operator failed: {type(error).__name__}: {error}"
            first(Alerted(level=Level.WARNING, text=text, where="operator"))

    return publish


def _bridge_finder(
    folder: SessionFolder, session: Session, bridge: Path | None, stack: ExitStack
) -> Callable[[], Path]:
    """Return a function that gives the connection file of a running bridge."""
    if bridge is not None:
        return lambda: bridge
    # the path of a socket must be short; that of a session may be long
    sockets = stack.enter_context(tempfile.TemporaryDirectory(dir=runtime_folder()))
    simulator = SimulatorBridge(folder, session, Path(sockets))
    stack.callback(simulator.close)
    return simulator.connection_file


def _connector(session: Session, connection_file: Callable[[], Path]) -> Callable[[], Microscope]:
    """Return a function that connects to the microscope with this session as lease holder."""
    holder = f"session {session.protocol.name} in {session.folder.path}"

    def connect_as_holder() -> Microscope:
        limits = SessionLimits(
            stage=session.protocol.limits.stage,
            dose_budget_e_per_A2=session.protocol.limits.dose_budget_e_per_A2,
            dose_spent_e_per_A2=session.ledger.dose_e_per_A2,
        )
        return connect(connection_file(), holder, limits)

    return connect_as_holder


def _load_figures_beside_the_fusion(record: Record, _: SessionStatus) -> None:
    """Load what the report needs while the jobs child fuses, so that nobody waits for it later."""
    event = record.event
    if isinstance(event, PhaseStarted) and event.phase is Phase.FUSE:
        Thread(target=import_module, args=("controller.report.write",), daemon=True).start()


def _write_report(path: Path, protocol: Protocol, publish: Publish) -> Path:
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


def _stop_on_signal(engine: Engine) -> None:
    # on a separate thread, which exists already: the main one may hold a lock of the engine, and
    # when the signal comes the system may refuse another thread
    signals: SimpleQueue[None] = SimpleQueue()

    def obey() -> None:
        while True:
            signals.get()
            engine.stop(StopWhen.NOW)

    Thread(target=obey, name="signals", daemon=True).start()

    def stop(*_: object) -> None:
        signals.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def main() -> int:
    """Run the session process; return its exit code."""
    parser = argparse.ArgumentParser(prog="controller.app.session_process")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bridge", type=Path)
    args = parser.parse_args()
    try:
        return run_session(args.folder, args.bridge)
    except DualtiltError as error:
        sys.stderr.write(f"{ERROR_PREFIX}{error}\n")
        return error.exit_code
    except NO_MEMORY as error:
        sys.stderr.write(f"{ERROR_PREFIX}{no_memory_text(error, args.folder)}\n")
        return ExitCode.SAFETY


if __name__ == "__main__":
    sys.exit(main())
