"""Session process: connects engine, worker, service and bridge, and runs one session.

The verbs `run`, `demo` and `resume` start ``python -m controller.app.session_process FOLDER``. It
continues when their terminal is closed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from controller.app.profiles import simulator_profile
from controller.app.session_parts import (
    load_figures_beside_the_fusion,
    open_session,
    refused_in_one_line,
    run_in_process,
    stop_on_signal,
    write_report,
)
from controller.bridge.remote_microscope import connect
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.common.errors import library_failure_as_system_error
from controller.common.exit_codes import ExitCode
from controller.common.runtime_folder import runtime_folder
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.hardware.limits import SessionLimits
from controller.model.events import Alerted, Event, Level, Publish
from controller.rehearsal.demo_operator import DemoOperator
from controller.service.session_server import SessionService
from controller.session.folder import SessionFolder
from controller.session.grid_folder import simulator_home
from controller.session.session import Session
from controller.worker.supervisor import Supervisor
from processing.files.atomic import make_folder
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


def run_session(path: Path, bridge: Path | None) -> tuple[ExitCode, str]:
    """Run or resume the session in a folder; return the exit code and the reason of the end.

    Parameters
    ----------
    path
        The session's folder, made by `controller.app.new_session.new_session`.
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
        with library_failure_as_system_error(), refused_in_one_line(path):
            engine, service = _assemble(folder, bridge, stack, lambda: exit_code)
        exit_code = engine.run()
    return exit_code, service.store.status.reason  # every event is published by now


def _assemble(
    folder: SessionFolder, bridge: Path | None, stack: ExitStack, exit_code: Callable[[], ExitCode]
) -> tuple[Engine, SessionService]:
    """Open the session and connect its parts; `stack` closes them."""
    session, service = open_session(folder, stack, exit_code)
    publish: Publish = service.publish
    if session.protocol.flip.answers_itself:
        publish = _publish_to_both(publish, _demo_operator(folder, lambda: engine))
    full_size = reduction(session.protocol.scan.width_px) == 1
    jobs = Supervisor(folder.path, publish, counts_at_full_size=full_size)
    stack.callback(jobs.close)
    if session.protocol.target is None:  # the results of a target are made by another process
        service.listeners.append(load_figures_beside_the_fusion)
    engine = Engine(
        session,
        _connector(session, _bridge_finder(folder, session, bridge, stack)),
        jobs,
        publish,
        lambda where: write_report(where, session.protocol, publish),
    )
    stack.callback(engine.watch_disk().close)
    stop_on_signal(engine.stop)
    service.serve(engine)
    return engine, service


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


def main() -> int:
    """Run the session process; return its exit code."""
    parser = argparse.ArgumentParser(prog="controller.app.session_process")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bridge", type=Path)
    args = parser.parse_args()
    return run_in_process(lambda: run_session(args.folder, args.bridge), args.folder)


if __name__ == "__main__":
    sys.exit(main())
