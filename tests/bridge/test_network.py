"""TCP connections: loopback with a secret, other machines with mutual TLS only."""

from __future__ import annotations

import datetime
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.app.cli import main as cli
from controller.app.cli.check import check_certificates
from controller.bridge.bridge_address import BridgeAddress, BridgeRefusedError, is_loopback
from controller.bridge.remote_microscope import connect
from controller.bridge.tls import VALID_DAYS, client_context, make_certs
from controller.common.errors import BridgeError
from controller.hardware.interface import MicroscopeError
from tests.bridge.peer import Peer
from tests.bridge.rig import SCAN, Rig, open_rig, wait_until


@dataclass(frozen=True)
class SecureRig:
    """A bridge behind mutual TLS, and the certificates of both sides."""

    rig: Rig
    folder: Path

    def address(self, certs: Path | None) -> BridgeAddress:
        """Return the address for a session with `certs`."""
        return BridgeAddress(port=self.rig.address.port, certs=certs)


@pytest.fixture(scope="module")
def secure(private_folder: Path) -> Iterator[SecureRig]:
    make_certs(private_folder / "ours")
    make_certs(private_folder / "theirs")
    options = ["--host", "127.0.0.1", "--certs", str(private_folder / "ours" / "bridge")]
    with open_rig(extra=options) as rig:
        yield SecureRig(rig, private_folder)


def test_loopback_needs_the_secret() -> None:
    with open_rig(extra=["--host", "127.0.0.1"]) as rig:
        assert rig.address.socket_path is None
        with rig.client() as microscope:
            assert microscope.acquire("tcp", SCAN).info.request_id == "tcp"
        nameless = rig.address.model_copy(update={"secret_path": None})
        with pytest.raises(MicroscopeError, match="token"), rig.client(address=nameless):
            pass


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("microscope.example.org", False),
        ("", False),
    ],
)
def test_loopback_addresses(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_no_listening_beyond_loopback_without_certificates(host: str) -> None:
    with pytest.raises(BridgeError, match="--make-certs"), open_rig(extra=["--host", host]):
        pass


def test_a_frame_over_mutual_tls(secure: SecureRig) -> None:
    address = secure.address(secure.folder / "ours" / "session")
    with secure.rig.client(address=address) as microscope:
        assert microscope.acquire("tls", SCAN).pixels.shape == (SCAN.height_px, SCAN.width_px)
        assert microscope.fetch_frame("tls").info.request_id == "tls"


def test_the_session_connects_with_its_certificates(
    secure: SecureRig, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = secure.folder / "carried"
    port = str(secure.rig.address.port)
    assert (
        cli.main(["bridge", "--make-certs", str(folder), "--host", "127.0.0.1", "--port", port])
        == 0
    )
    assert str(folder / "session") in capsys.readouterr().out
    for name in (
        "cert.pem",
        "key.pem",
        "peer.pem",
    ):  # the bridge of this test uses other certificates
        _carry(secure.folder / "ours" / "session" / name, folder / "session" / name)
    microscope = connect(folder / "session" / "bridge.json", "far away")
    assert microscope.status().beam_blanked
    microscope.close()


UNKNOWN_BRIDGE = "the bridge's certificate is not the one in"
UNKNOWN_CLIENT = "the client's certificate is not the one in peer.pem"
DISTRUSTED = "the client does not trust this bridge's certificate"


@pytest.mark.parametrize(
    ("certs", "said", "logged"),
    [
        pytest.param("theirs/session", UNKNOWN_BRIDGE, DISTRUSTED, id="somebody else's"),
        pytest.param("theirs/bridge", UNKNOWN_BRIDGE, DISTRUSTED, id="somebody else's bridge"),
        pytest.param(
            "ours/bridge", UNKNOWN_BRIDGE, DISTRUSTED, id="the bridge's own, as a session"
        ),
        pytest.param(
            None,
            "if the bridge uses certificates, connect with",
            "the client uses no certificates",
            id="no TLS at all",
        ),
        pytest.param(
            "mixed",
            "the bridge does not trust",
            UNKNOWN_CLIENT,
            id="our bridge trusted, but a stranger's certificate",
        ),
    ],
)
def test_wrong_certificates_are_refused(
    secure: SecureRig, certs: str | None, said: str, logged: str
) -> None:
    if certs == "mixed":
        _mix(secure.folder)
    address = secure.address(None if certs is None else secure.folder / certs)
    before = len(secure.rig.audited("connection ended"))
    with pytest.raises(MicroscopeError) as caught, secure.rig.client(address=address):
        pass
    text = str(caught.value)
    assert "\n" not in text and said in text
    assert not any(word in text for word in ("SSL", "_ssl.c", "VERIFY", "ALERT")), text
    wait_until(lambda: len(secure.rig.audited("connection ended")) > before, "it is logged")
    assert secure.rig.audited("connection ended")[-1]["reason"] == logged
    assert not secure.rig.audited("refused")  # no handshake was read


def test_a_bridge_without_certificates_is_said_so(secure: SecureRig) -> None:
    with open_rig(extra=["--host", "127.0.0.1"]) as rig:
        certs = secure.folder / "ours" / "session"
        address = BridgeAddress(port=rig.address.port, certs=certs)
        with (
            pytest.raises(BridgeRefusedError, match="start the bridge with --certs"),
            rig.client(address=address),
        ):
            pass


def _mix(folder: Path) -> None:
    mixed = folder / "mixed"
    mixed.mkdir()
    for name, source in (
        ("cert.pem", "theirs/session"),
        ("key.pem", "theirs/session"),
        ("peer.pem", "ours/session"),
    ):
        _carry(folder / source / name, mixed / name)
        (mixed / name).chmod(0o600)


def test_silent_tls_connections_keep_nobody_out(secure: SecureRig) -> None:
    with ExitStack() as silent:
        for _ in range(100):
            silent.enter_context(Peer(secure.address(None)))
        address = secure.address(secure.folder / "ours" / "session")
        with secure.rig.client(address=address) as microscope:
            assert microscope.status().beam_blanked


def test_only_the_owner_can_read_the_keys(secure: SecureRig) -> None:
    for side in ("bridge", "session"):
        assert stat.S_IMODE((secure.folder / "ours" / side).stat().st_mode) == 0o700
        assert stat.S_IMODE((secure.folder / "ours" / side / "key.pem").stat().st_mode) == 0o600


def test_certificates_are_not_made_twice(secure: SecureRig) -> None:
    with pytest.raises(BridgeError, match="choose another folder"):
        make_certs(secure.folder / "ours")


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    options = ["--host", "0.0.0.0", "--certs", str(tmp_path / "nowhere")]
    with pytest.raises(BridgeError, match="nowhere"), open_rig(extra=options):
        pass


NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=2000)
LATER = NOW + datetime.timedelta(days=30)


@pytest.mark.parametrize(
    ("bridges", "sessions", "said"),
    [
        pytest.param(NOW, LONG_AGO, "the session's certificate expired on", id="session, expired"),
        pytest.param(LONG_AGO, NOW, "the bridge's certificate expired on", id="bridge, expired"),
        pytest.param(NOW, LATER, "the session's certificate is not valid before", id="too early"),
        pytest.param(LATER, NOW, "the bridge's certificate is not valid before", id="early"),
    ],
)
def test_a_certificate_out_of_its_dates_is_refused_with_both_clocks(
    private_folder: Path, bridges: datetime.datetime, sessions: datetime.datetime, said: str
) -> None:
    folder = Path(tempfile.mkdtemp(dir=private_folder))
    make_certs(folder / "a", bridges)
    make_certs(folder / "b", sessions)
    _carry(folder / "a" / "bridge" / "cert.pem", folder / "b" / "session" / "peer.pem")
    _carry(folder / "b" / "session" / "cert.pem", folder / "a" / "bridge" / "peer.pem")
    with open_rig(extra=["--host", "127.0.0.1", "--certs", str(folder / "a" / "bridge")]) as rig:
        address = BridgeAddress(port=rig.address.port, certs=folder / "b" / "session")
        with pytest.raises(BridgeRefusedError, match=said) as caught, rig.client(address=address):
            pass
        assert not rig.audited("lease taken")
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(f"{NOW:%Y-%m-%d}") >= 2, "both clocks"
    assert "security.md" in text


def _carry(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


@pytest.mark.parametrize(
    ("days", "ok", "warns"),
    [
        pytest.param(800, True, False, id="new"),
        pytest.param(31, True, False, id="a month left"),
        pytest.param(29, True, True, id="soon"),
        pytest.param(-1, False, True, id="over"),
    ],
)
def test_check_warns_before_a_certificate_expires(days: float, ok: bool, warns: bool) -> None:
    checked = check_certificates(1e9 + 86400 * days, 1e9)
    assert (checked.ok, "WARNING" in checked.detail) == (ok, warns)


def test_a_client_knows_when_the_first_certificate_expires(secure: SecureRig) -> None:
    address = secure.address(secure.folder / "ours" / "session")
    with secure.rig.client(None, address=address) as microscope:
        assert microscope.certificates_end_s is not None
        days = (microscope.certificates_end_s - NOW.timestamp()) / 86400
    assert days == pytest.approx(VALID_DAYS, abs=1)


@pytest.mark.parametrize("side", ["bridge", "session"])
def test_a_key_that_others_may_read_is_refused_with_the_command_that_mends_it(
    private_folder: Path, side: str
) -> None:
    folder = Path(tempfile.mkdtemp(dir=private_folder)) / "certs"
    make_certs(folder)
    key = folder / side / "key.pem"
    key.chmod(0o640)
    with pytest.raises(BridgeRefusedError, match=f"chmod 600 {key}"):
        client_context(folder / side)


def test_a_secret_that_others_may_read_is_refused() -> None:
    with open_rig() as rig:
        assert rig.address.secret_path is not None
        rig.address.secret_path.chmod(0o604)
        with pytest.raises(BridgeRefusedError, match="chmod 600"), rig.client():
            pass
