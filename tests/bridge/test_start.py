"""Start of a bridge: errors in one line, and no heavy libraries on the microscope's PC."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from controller.app.cli import main as cli
from controller.bridge import start_bridge as bridge_start
from controller.bridge.bridge_address import BridgeRefusedError
from controller.bridge.lease import Lease
from controller.bridge.remote_microscope import connect
from controller.bridge.start_bridge import start_bridge
from controller.common.errors import BridgeError
from controller.common.exit_codes import ExitCode
from controller.hardware.interface import LeaseError
from tests.bridge.rig import SCAN, open_rig
from tests.support.processes import python

FAKE = "tests.support.fake_microscope:create"


@pytest.mark.parametrize(
    ("options", "toml", "said"),
    [
        pytest.param(["--microscope", "titan"], "", "unknown microscope 'titan'", id="unknown"),
        pytest.param(["--microscope", "no.such:create"], "", "cannot be loaded", id="no module"),
        pytest.param(["--microscope", "json:create"], "", "cannot be loaded", id="no function"),
        pytest.param(["--microscope", FAKE], "exposure_s = 'long'", "exposure_s", id="wrong type"),
        pytest.param(["--microscope", FAKE], "speed = 3", "speed", id="unknown setting"),
        pytest.param(["--microscope", "simulator"], "seed = -1", "seed", id="simulator's setting"),
        pytest.param(["--microscope", FAKE], "= 3", "settings.toml", id="not TOML"),
        pytest.param(["--settings", "/no/such.toml"], "", "no/such.toml", id="no settings"),
        pytest.param(["--socket", "/dev/shm/" + "x" * 100 + "/s"], "", "too long", id="long path"),
        pytest.param(["--lease-s", "0"], "", "--lease-s", id="no lease"),
        pytest.param(["--lease-s", "nan"], "", "--lease-s", id="no number"),
    ],
)
def test_a_bridge_that_cannot_start_says_why(
    private_folder: Path, options: list[str], toml: str, said: str
) -> None:
    settings = private_folder / "settings.toml"
    settings.write_text(toml)
    with pytest.raises(BridgeError, match=said) as caught:
        start_bridge(private_folder, microscope=FAKE, settings=settings, extra=options)
    assert "\n" not in str(caught.value)


def test_a_bridge_that_is_not_ready_in_time_says_what_to_do(
    private_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_start, "READY_WITHIN_S", 0.0)
    with pytest.raises(BridgeError, match="close other programs and try again") as caught:
        start_bridge(private_folder, microscope=FAKE)
    assert caught.value.exit_code is ExitCode.BRIDGE


def test_a_folder_open_to_others_is_refused(private_folder: Path) -> None:
    open_folder = private_folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o755)
    with pytest.raises(BridgeError, match="chmod 700"):
        start_bridge(open_folder, microscope=FAKE)


def test_a_second_bridge_on_one_socket_is_refused() -> None:
    with open_rig() as rig:
        with pytest.raises(BridgeError, match="already listening"):
            start_bridge(rig.folder, microscope=FAKE)
        with rig.client() as microscope:
            assert microscope.status().beam_blanked


def test_a_dead_bridges_socket_is_replaced(private_folder: Path) -> None:
    path = private_folder / "bridge.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with start_bridge(private_folder, microscope=FAKE) as bridge:
        connect(bridge.connection_file, "tester").close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "no bridge", id="missing"),
        pytest.param("{}", "address", id="empty"),
        pytest.param("{", "JSON", id="torn"),
    ],
)
def test_a_bad_connection_file_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "bridge.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BridgeRefusedError, match=said):
        connect(path, "tester")


def test_the_audit_log_names_clients_and_actions() -> None:
    with open_rig() as rig:
        with rig.client("Ada") as microscope:
            microscope.acquire("exposure 1", SCAN)
        assert [taken["holder"] for taken in rig.audited("lease taken")] == ["Ada"]
        (performed,) = rig.audited("perform")
        assert (performed["request_id"], performed["action"]["kind"]) == ("exposure 1", "acquire")
        (safe,) = rig.audited("making safe")
        assert safe["reason"].startswith("the session has")
        assert "status" not in rig.audit()


FORGERIES = ("Eve\n", "Eve\r\n", "Eve\u2028", '"}\n', "Eve\x1b[2K\x00", "Eve\\n")


def test_no_text_of_a_client_forges_a_line_of_the_audit_log() -> None:
    record = '{"at": "2026", "level": "info", "event": "lease taken", "holder": "Ada"}'
    lines = [forgery + record for forgery in FORGERIES]
    with open_rig() as rig:
        for line in lines:
            with rig.client(line) as microscope:
                microscope.make_safe(line)
        log = (rig.folder / "audit.log").read_bytes()
        assert [taken["holder"] for taken in rig.audited("lease taken")] == lines
        assert {*lines} < {safe["reason"] for safe in rig.audited("making safe")}
    assert log.isascii()
    assert len(log.splitlines()) == log.count(b"\n")


@pytest.mark.parametrize("forgery", [*FORGERIES, "Eve\x85", "Eve\r", "Eve\u202e"])
def test_no_name_of_a_session_breaks_the_message_to_another_one(forgery: str) -> None:
    lease = Lease(10.0)
    lease.take(f"{forgery}dualtilt: all is well")
    with pytest.raises(LeaseError) as refused:
        lease.take("Ada")
    assert str(refused.value).isprintable()
    assert "dualtilt: all is well controls the microscope" in str(refused.value)
    assert lease.holder is not None and lease.holder.isprintable()


def test_make_certs_from_the_command_line(
    private_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = private_folder / "certs"
    assert cli.main(["bridge", "--make-certs", str(folder)]) == ExitCode.OK
    assert str(folder / "session") in capsys.readouterr().out
    assert cli.main(["bridge", "--make-certs", str(folder)]) == ExitCode.BRIDGE
    assert capsys.readouterr().err.count("\n") == 1


LEAN = """
import importlib.abc, sys
HEAVY = {"scipy", "astra", "textual", "pywt", "mrcfile", "matplotlib", "processing", "simulator"}
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"a lean PC has no {name}")
sys.meta_path.insert(0, Block())
import pkgutil, controller.bridge, controller.hardware
for package in (controller.bridge, controller.hardware):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        __import__(module.name)
from controller.app.cli.bridge import main
sys.argv = ["bridge", *sys.argv[1:]]
raise SystemExit(main())
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "serves the SIMULATOR, because --microscope is not given; for a real column: "),
        (("--microscope", "simulator"), "serves the SIMULATOR; for a real column: dualtilt"),
        (("--microscope", FAKE), ""),
    ],
    ids=["nothing chosen", "the simulator", "a column"],
)
def test_the_first_line_says_that_no_real_column_is_served(
    words: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("controller.bridge.run_bridge.run_bridge", lambda *_, **__: 0)
    assert cli.main(["bridge", *words]) == ExitCode.OK
    out = capsys.readouterr().out
    assert says in out and bool(out) == bool(says)


def test_the_bridge_runs_without_heavy_libraries(private_folder: Path) -> None:
    connection_file = private_folder / "lean.json"
    with python(
        *("-c", LEAN, "--tied", "--microscope", FAKE),
        *("--connection-file", str(connection_file)),
        *("--socket", str(private_folder / "lean.sock")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as bridge:
        assert bridge.stdout is not None
        ready = bridge.stdout.readline()
        assert "ready at" in ready and f"--bridge {connection_file}" in ready
        microscope = connect(connection_file, "tester")
        assert microscope.status().beam_blanked
        microscope.close()
        assert bridge.stdin is not None
        bridge.stdin.close()
        assert bridge.wait() == 0
