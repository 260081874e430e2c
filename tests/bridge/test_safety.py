"""Safe state: reached without waiting for an exposure, and even if one device does not stop."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from controller.bridge.bridge_address import read_connection_file
from controller.bridge.hardware_threads import HardwareThreads
from controller.bridge.remote_microscope import connect
from controller.bridge.request_outcomes import RequestOutcomes
from controller.bridge.start_bridge import start_bridge
from controller.bridge.wire_messages import Acquire
from controller.hardware.interface import AbortedError, ConnectionLostError, Frame, MicroscopeError
from controller.model.stage import StagePosition
from tests.bridge.rig import AT_MOST_S, IMPATIENT_S, SCAN, open_rig, wait_until
from tests.support.fake_behaviour import FakeSettings
from tests.support.fake_microscope import FakeMicroscope
from tests.support.processes import python


def test_status_does_not_wait_for_an_exposure_and_abort_ends_it() -> None:
    with open_rig(exposure_s=600) as rig, rig.client() as microscope:
        with ThreadPoolExecutor(1) as threads:
            exposure = threads.submit(microscope.acquire, "long", SCAN)
            wait_until(lambda: rig.actions("acquire long"), "the exposure begins")
            status = microscope.status()
            assert status.busy
            assert not status.beam_blanked
            microscope.make_safe("the operator's choice")
            with pytest.raises(AbortedError):
                exposure.result()
        after = microscope.status()
        assert (after.busy, after.beam_blanked) == (False, True)


def test_abort_in_a_move_of_the_simulator_in_real_time(private_folder: Path) -> None:
    settings = private_folder / "simulator.toml"
    settings.write_text("[specimen]\nassembly_diameter_nm = 40.0\nother_assemblies_nm = []\n")
    with start_bridge(private_folder, settings=settings, real_time=True) as bridge:
        microscope = bridge.connect("tester")
        with ThreadPoolExecutor(1) as threads:
            move = threads.submit(microscope.move_stage, "m", StagePosition(alpha_deg=70))
            wait_until(lambda: microscope.status().busy, "the move begins")
            microscope.blank()
            assert microscope.status().busy  # blanking did not wait for the move
            microscope.make_safe("the operator's choice")
            with pytest.raises(AbortedError):
                move.result()
        status = microscope.status()
        assert (status.busy, status.beam_blanked) == (False, True)
        assert status.stage.alpha_deg < 70
        microscope.close()


def test_an_action_may_last_longer_than_the_timeout_of_one_call() -> None:
    with open_rig(move_s=3.5) as rig, rig.client(timeout_s=3.0) as microscope:
        target = StagePosition(alpha_deg=7)
        assert microscope.move_stage("slow", target) == target
        assert rig.actions("move") == ["move slow 7"]


def test_abort_pressed_again_and_again() -> None:
    with open_rig(move_s=600) as rig, rig.client() as microscope, ThreadPoolExecutor(5) as threads:
        move = threads.submit(microscope.move_stage, "m", StagePosition(alpha_deg=9))
        wait_until(lambda: rig.actions("move"), "the move begins")
        list(threads.map(lambda _: microscope.make_safe("again"), range(4)))
        with pytest.raises(AbortedError):
            move.result()
        assert microscope.status().beam_blanked


def test_a_stage_that_cannot_be_stopped_leaves_the_other_devices_safe(tmp_path: Path) -> None:
    arrived = tmp_path / "arrived"
    with open_rig(ignores_stop_until=str(arrived)) as rig, rig.client() as microscope:
        with ThreadPoolExecutor(1) as threads:
            move = threads.submit(microscope.move_stage, "m", StagePosition(alpha_deg=9))
            wait_until(lambda: rig.actions("move"), "the move begins")
            with pytest.raises(MicroscopeError, match="stop_stage: the stage cannot be stopped"):
                microscope.make_safe("in a move")
            assert rig.actions("blank")
            assert rig.actions("make-safe in a move")
            arrived.touch()
            assert move.result().alpha_deg == 9  # the move ran to its end with the beam blanked
        assert rig.actions("acquire") == []


def test_queued_actions_do_not_start_once_the_column_is_safe(tmp_path: Path) -> None:
    actions = tmp_path / "actions"
    settings = FakeSettings(exposure_s=600, action_log=actions)
    hardware = HardwareThreads(lambda: FakeMicroscope(settings=settings))
    outcomes = [
        hardware.submit(lambda microscope, name=name: microscope.acquire(name, SCAN))  # type: ignore[misc]
        for name in ("first", "second", "third")
    ]
    wait_until(lambda: actions.exists() and "acquire first" in actions.read_text(), "it begins")
    hardware.make_safe("now")
    for outcome in outcomes:
        with pytest.raises(AbortedError):
            outcome.result()
    assert [line for line in actions.read_text().splitlines() if line.startswith("acquire")] == [
        "acquire first"
    ]
    hardware.close()


def test_an_action_that_never_started_may_be_repeated_with_its_id(tmp_path: Path) -> None:
    actions, arrived = tmp_path / "actions", tmp_path / "arrived"
    settings = FakeSettings(ignores_stop_until=arrived, action_log=actions)
    hardware = HardwareThreads(lambda: FakeMicroscope(settings=settings))
    outcomes = RequestOutcomes()

    def ask() -> Future[object]:
        return outcomes.get_or_start(
            "queued",
            Acquire(scan=SCAN),
            lambda: hardware.submit(lambda microscope: microscope.acquire("queued", SCAN)),
        )

    move = hardware.submit(lambda microscope: microscope.move_stage("m", StagePosition(x_nm=1)))
    wait_until(actions.exists, "the move begins")
    queued = ask()
    with pytest.raises(MicroscopeError, match="cannot be stopped"):
        hardware.make_safe("while one waits")
    arrived.touch()
    assert move.result() == StagePosition(x_nm=1)
    with pytest.raises(AbortedError, match="before it started"):
        queued.result()
    again = ask()
    assert isinstance(again.result(), Frame)
    assert ask() is again
    hardware.close()


def test_bridge_killed_in_an_exposure() -> None:
    with open_rig(exposure_s=600) as rig, rig.client() as microscope:
        with ThreadPoolExecutor(1) as threads:
            exposure = threads.submit(microscope.acquire, "cut short", SCAN)
            wait_until(lambda: rig.actions("acquire"), "the exposure begins")
            rig.bridge.kill()
            with pytest.raises(ConnectionLostError):
                exposure.result()
        with pytest.raises(ConnectionLostError):
            microscope.status()
        assert rig.actions("acquire") == ["acquire cut short"]


def test_bridge_frozen() -> None:
    with open_rig() as rig, rig.client(timeout_s=IMPATIENT_S) as microscope:
        os.kill(rig.bridge.pid, signal.SIGSTOP)
        os.waitpid(rig.bridge.pid, os.WUNTRACED)  # on a busy machine it runs on for a moment
        try:
            with pytest.raises(ConnectionLostError):
                microscope.acquire("unanswered", SCAN)
        finally:
            os.kill(rig.bridge.pid, signal.SIGCONT)
        microscope.status()
        assert len(rig.actions("acquire unanswered")) <= 1


def test_a_restarted_bridge_is_recognised_as_new() -> None:
    with open_rig() as rig, rig.client() as microscope:
        before = read_connection_file(rig.bridge.connection_file)
        rig.bridge.kill()
        with python(
            *(
                "-m",
                "controller.app.cli.bridge",
                "--microscope",
                "tests.support.fake_microscope:create",
            ),
            *("--connection-file", str(rig.bridge.connection_file)),
            *("--socket", str(before.address.socket_path)),
            stdout=subprocess.DEVNULL,
        ) as again:
            wait_until(
                lambda: read_connection_file(rig.bridge.connection_file).boot_id != before.boot_id,
                "the bridge is back",
            )
            with pytest.raises(ConnectionLostError):
                microscope.status()
            with pytest.raises(ConnectionLostError, match="restarted"):
                microscope.acquire("blind", SCAN)
            with closing(connect(rig.bridge.connection_file, "tester")) as anew:
                assert anew.boot_id != before.boot_id
            again.terminate()
            assert again.wait() == 0


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(signal.SIGTERM, 0, id="SIGTERM"),
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGHUP, 130, id="its terminal closed"),
        pytest.param(None, 0, id="its parent gone"),
    ],
)
def test_the_bridge_leaves_the_column_safe(end: signal.Signals | None, status: int) -> None:
    with open_rig() as rig:
        connection_file = rig.folder / "second.json"
        with python(
            *("-m", "controller.app.cli.bridge", "--tied"),
            *("--microscope", "tests.support.fake_microscope:create"),
            *("--settings", str(rig.folder / "fake.toml")),
            *("--connection-file", str(connection_file)),
            *("--socket", str(rig.folder / "second.sock")),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ) as bridge:
            wait_until(connection_file.exists, "the bridge is ready")
            if end is not None:
                bridge.send_signal(end)
            else:
                assert bridge.stdin is not None
                bridge.stdin.close()
            assert bridge.wait() == status
        assert rig.actions("make-safe the bridge ends")
        assert not connection_file.exists()
        assert not (rig.folder / "second.sock").exists()


HUNG = """
import sys
from controller.bridge import hardware_threads, watch_thread
hardware_threads.WATCH_TIMEOUT_S = hardware_threads.SAFE_WITHIN_S = 0.2
from controller.app.cli.bridge import main
raise SystemExit(main())
"""


def test_a_move_that_never_ends_does_not_keep_the_bridge_from_ending(tmp_path: Path) -> None:
    never = tmp_path / "never"
    with open_rig(ignores_stop_until=str(never)) as rig:
        connection_file = rig.folder / "hung.json"
        with python(
            *("-c", HUNG, "--microscope", "tests.support.fake_microscope:create"),
            *("--settings", str(rig.folder / "fake.toml")),
            *("--connection-file", str(connection_file)),
            *("--socket", str(rig.folder / "hung.sock")),
            stdout=subprocess.DEVNULL,
        ) as bridge:
            wait_until(connection_file.exists, "the bridge is ready")
            with (
                closing(connect(connection_file, "tester")) as microscope,
                ThreadPoolExecutor(1) as threads,
            ):
                move = threads.submit(microscope.move_stage, "m", StagePosition(alpha_deg=9))
                wait_until(lambda: rig.actions("move"), "the move begins")
                bridge.terminate()
                assert bridge.wait(AT_MOST_S / 2) == 0
                with pytest.raises(ConnectionLostError):
                    move.result()
        assert rig.actions("make-safe the bridge ends")
