"""Mutual TLS: each side trusts exactly one certificate, that of the other side."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.bridge.bridge_address import check_secret_file, private_folder
from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.errors import BridgeError, os_error_text

VALID_DAYS = 825
WARN_DAYS = 30
"""Time before the end of a certificate at which `dualtilt check` begins to warn (days)."""
REMEDY = "set a wrong clock, or make new certificates (docs/security.md, Renewing certificates)"
SIDES = ("bridge", "session")
FILES = ("cert.pem", "key.pem", "peer.pem")
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""
_INVALID_PURPOSE = 26
"""OpenSSL's X509_V_ERR_INVALID_PURPOSE."""


def make_certs(folder: Path, now: datetime.datetime | None = None) -> tuple[Path, ...]:
    """Make a key and a self-signed certificate for each side, with the other's certificate.

    Parameters
    ----------
    folder
        Gets ``bridge/`` (for the microscope's PC) and ``session/`` (for the session's machine).
    now
        Time from which they are valid; by default the present.

    Returns
    -------
    tuple of Path
        The two folders.

    Raises
    ------
    BridgeError
        If there are certificates already: overwriting them would lock the other side out.
    """
    folders = tuple(folder / side for side in SIDES)
    for side_folder in folders:
        if (side_folder / "key.pem").exists():
            raise BridgeError(f"{side_folder} already contains a key: choose another folder")
        private_folder(side_folder)
    begin = now or datetime.datetime.now(datetime.UTC)
    pairs = [_key_and_certificate(f"dualtilt {side}", begin) for side in SIDES]
    for index, side_folder in enumerate(folders):
        key, certificate = pairs[index]
        for name, text in zip(FILES, (certificate, key, pairs[1 - index][1]), strict=True):
            replace_text(side_folder / name, text, OWNER_ONLY)
    return folders


def server_context(certs: Path) -> ssl.SSLContext:
    """Return the TLS context of a bridge that accepts only the pinned session certificate."""
    return _pinned(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certs)


def client_context(certs: Path) -> ssl.SSLContext:
    """Return the TLS context of a session that accepts only the pinned bridge certificate.

    The bridge is identified by its certificate, not by its address.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _pinned(context, certs)


@dataclass(frozen=True)
class Validity:
    """Dates of a certificate, as seconds since 1970."""

    begin_s: float
    end_s: float

    def fault(self, now_s: float) -> str:
        """Return why the certificate is not valid at `now_s`; empty if it is."""
        if now_s < self.begin_s:
            return f"is not valid before {as_text(self.begin_s)}"
        if now_s > self.end_s:
            return f"expired on {as_text(self.end_s)}"
        return ""


def peer_validity(sock: socket.socket) -> Validity | None:
    """Return the dates of the certificate on the other side; None without TLS."""
    if not isinstance(sock, ssl.SSLSocket):
        return None
    found = sock.getpeercert() or {}
    begin, end = str(found["notBefore"]), str(found["notAfter"])
    return Validity(ssl.cert_time_to_seconds(begin), ssl.cert_time_to_seconds(end))


def date_refusal(whose: str, validity: Validity | None, bridge_s: float, session_s: float) -> str:
    """Return the refusal of a certificate that is not valid by one of the two clocks, else "".

    Parameters
    ----------
    whose
        "bridge" or "session": side that the certificate belongs to; the other side's clock counts.
    bridge_s, session_s
        Clocks of the two sides (seconds since 1970).
    """
    judge_s = session_s if whose == "bridge" else bridge_s
    fault = validity.fault(judge_s) if validity else ""
    if not fault:
        return ""
    return (
        f"the {whose}'s certificate {fault}; the clock of the bridge says {as_text(bridge_s)}, "
        f"that of the session {as_text(session_s)}: {REMEDY}"
    )


SAME_PAIR = "use on both sides the folders that one `dualtilt bridge --make-certs` made"
WRONG_USE = "was made for another use (key usage)"
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""Reasons of OpenSSL for bytes that are no TLS."""


def refused_bridge(error: ssl.SSLError, certs: Path) -> str:
    """Return why a session refuses a bridge in the TLS handshake, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _INVALID_PURPOSE:
            return f"the bridge's certificate {WRONG_USE}: {SAME_PAIR}"
        return f"the bridge's certificate is not the one in {certs / 'peer.pem'}: {SAME_PAIR}"
    if error.reason in _NO_TLS:
        return (
            "what answers there uses no certificates: start the bridge with --certs, "
            "or connect with the connection file that it wrote"
        )
    return f"no encrypted connection ({error.reason}): {SAME_PAIR}"


def refused_session(certs: Path | None) -> str:
    """Return why a bridge on the network may end a connection unanswered, and what to do.

    The reason itself does not always arrive; the bridge's audit log has it.
    """
    if certs is None:
        return (
            "the connection ended unanswered: if the bridge uses certificates, connect with the "
            "file session/bridge.json that was made with them"
        )
    return (
        "the connection ended unanswered: if it does so again, the bridge does not trust "
        f"{certs / 'cert.pem'}: {SAME_PAIR}"
    )


def refused_client(error: Exception) -> str:
    """Return why a bridge ended a connection in the TLS handshake; empty for other errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _INVALID_PURPOSE:
            return f"the client's certificate {WRONG_USE}"
        return "the client's certificate is not the one in peer.pem"
    if not isinstance(error, ssl.SSLError) or error.reason is None:
        return ""
    if "ALERT" in error.reason:
        return "the client does not trust this bridge's certificate"
    return "the client uses no certificates" if error.reason in _NO_TLS else ""


def as_text(time_s: float) -> str:
    """Format a time as date and minute, UTC."""
    return f"{datetime.datetime.fromtimestamp(time_s, datetime.UTC):%Y-%m-%d %H:%M} UTC"


def _pinned(context: ssl.SSLContext, certs: Path) -> ssl.SSLContext:
    """Trust only the certificate of the peer, as the only root."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # dates are checked after the handshake, where a refusal can say which clock reads what
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        check_secret_file(certs / "key.pem")
        context.load_cert_chain(certs / "cert.pem", certs / "key.pem", _no_passphrase(certs))
        context.load_verify_locations(certs / "peer.pem")
    except OSError as error:
        raise BridgeError(
            f"certificates in {certs}: {os_error_text(error)}: make them with "
            "`dualtilt bridge --make-certs DIR`"
        ) from error
    return context


def _no_passphrase(certs: Path) -> Callable[[], str]:
    """Return a function that refuses an encrypted key, for which OpenSSL would ask the terminal."""

    def refuse() -> str:
        raise BridgeError(
            f"{certs / 'key.pem'} is encrypted, and nobody can be asked for its passphrase: "
            "make certificates with `dualtilt bridge --make-certs DIR`"
        )

    return refuse


def _key_and_certificate(name: str, now: datetime.datetime) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return key_text, certificate.public_bytes(serialization.Encoding.PEM).decode()
