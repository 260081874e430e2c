"""The session process: joins engine, worker, service and bridge, and runs one session.

``python -m controller.app.host FOLDER`` is started by the verbs `run`, `demo` and `resume`, and
outlives the terminal they run in.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from threading import Thread

from controller.app.profiles import simulator_profile
from controller.bridge.remote_microscope import connect
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.hardware.limits import SessionLimits
from controller.model.commands import StopWhen
from controller.model.events import Alerted, Event, Level, Publish
from controller.rehearsal.demo_operator import DemoOperator
from controller.report.write import write_report
from controller.service.notify import Notifier
from controller.service.service_address import runtime_folder
from controller.service.session_server import SessionService
from controller.session.event_log import EventLog, read_events
from controller.session.folder import SessionFolder
from controller.session.session import Session
from controller.worker.supervisor import Supervisor
from processing.live.count_size import reduction


class SimulatorBridge:
    """A bridge to the simulator that is started when it is not there."""

    def __init__(self, folder: SessionFolder, session: Session, sockets: Path) -> None:
        self._settings = simulator_profile(session.protocol, folder.protocol)
        self._world = folder.simulator / "world.json"
        self._faults = sorted(folder.faults.glob("*.toml"))
        self._sockets = sockets
        self._bridge: BridgeProcess | None = None

    def connection_file(self) -> Path:
        """Connection file of a running bridge; starts one when there is none."""
        if self._bridge is None or not self._bridge.running():
            self.close()  # one that died leaves its end of the line
            self._world.parent.mkdir(exist_ok=True)
            self._bridge = start_bridge(
                self._sockets,
                settings=self._settings,
                state=self._world,
                faults=self._faults,
            )
        return self._bridge.connection_file

    def close(self) -> None:
        """End the bridge, the column safe."""
        if self._bridge is not None:
            self._bridge.terminate()


def run_session(path: Path, bridge: Path | None) -> ExitCode:
    """Run, or go on with, the session in a folder.

    Parameters
    ----------
    path
        The session's folder, made by `controller.app.launch.new_session`.
    bridge
        Connection file of the microscope's bridge; None starts one for the simulator.

    Raises
    ------
    DualtiltError
        The session could not be started; nothing was exposed.
    """
    folder = SessionFolder(path)
    folder.make_subfolders()
    exit_code = ExitCode.INTERNAL_ERROR
    with ExitStack() as stack:
        session = Session.open(folder)
        stack.callback(session.close)
        past = read_events(folder.events)
        log = EventLog(folder.events)
        stack.callback(log.close)
        service = SessionService(path, log.append, past)
        stack.callback(lambda: service.close(exit_code))
        publish: Publish = service.publish
        notify = session.protocol.notify
        if notify.webhook or notify.email_to:
            notifier = Notifier(notify, session.protocol.name, str(path), service.publish)
            stack.callback(notifier.close)
            stack.callback(service.flush)  # the last message is about the last event
            service.listeners.append(notifier.notify)
        if session.protocol.flip.answers_itself:
            publish = _told_to_both(publish, _rehearsing_operator(folder, lambda: engine))
        full_size = reduction(session.protocol.scan.width_px) == 1
        jobs = Supervisor(path, publish, counts_at_full_size=full_size)
        stack.callback(jobs.close)
        engine = Engine(
            session,
            _connector(session, _bridge_finder(folder, session, bridge, stack)),
            jobs,
            publish,
            lambda where: _write_report(where, publish),
        )
        _stop_on_signal(engine)
        service.serve(engine)
        exit_code = engine.run()
    why = service.store.status.reason  # all events are told by now
    if exit_code != ExitCode.OK and why:
        sys.stderr.write(f"dualtilt: {why}\n")
    return exit_code


def _rehearsing_operator(folder: SessionFolder, engine: Callable[[], Engine]) -> DemoOperator:
    """Make who answers prompts and, where faults are rehearsed, sees to them."""
    return DemoOperator(
        lambda answer: engine().answer(answer),
        (lambda: engine().go_on()) if folder.faults.exists() else None,
    )


def _told_to_both(first: Publish, second: Publish) -> Publish:
    def publish(event: Event) -> None:
        first(event)
        second(event)

    return publish


def _bridge_finder(
    folder: SessionFolder, session: Session, bridge: Path | None, stack: ExitStack
) -> Callable[[], Path]:
    """Make what names the connection file of a bridge that is there."""
    if bridge is not None:
        return lambda: bridge
    # sockets have short paths, sessions may not
    sockets = stack.enter_context(tempfile.TemporaryDirectory(dir=runtime_folder()))
    simulator = SimulatorBridge(folder, session, Path(sockets))
    stack.callback(simulator.close)
    return simulator.connection_file


def _connector(session: Session, connection_file: Callable[[], Path]) -> Callable[[], Microscope]:
    """Make what takes charge of the microscope, again after every loss."""
    holder = f"session {session.protocol.name} in {session.folder.path}"

    def take_charge() -> Microscope:
        limits = SessionLimits(
            stage=session.protocol.limits.stage,
            dose_budget_e_per_A2=session.protocol.limits.dose_budget_e_per_A2,
            dose_spent_e_per_A2=session.ledger.dose_e_per_A2,
        )
        return connect(connection_file(), holder, limits)

    return take_charge


def _write_report(path: Path, publish: Publish) -> Path:
    """Score a rehearsal against its truth, then write the report."""
    if (path / "simulator" / "world.json").exists():
        try:
            import_module("simulator.scoring").write_accuracy(path)
        except (OSError, ValueError) as error:
            text = f"the rehearsal could not be scored: {error}"
            publish(Alerted(level=Level.WARNING, text=text, where="report"))
    return write_report(path)


def _stop_on_signal(engine: Engine) -> None:
    def stop(*_: object) -> None:
        # not from the handler itself: the engine may hold a lock in this very thread
        Thread(target=engine.stop, args=(StopWhen.NOW,), daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def main() -> int:
    """Entry point of the session's process."""
    parser = argparse.ArgumentParser(prog="controller.app.host")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bridge", type=Path)
    args = parser.parse_args()
    try:
        return run_session(args.folder, args.bridge)
    except DualtiltError as error:
        sys.stderr.write(f"dualtilt: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
