"""Mutual TLS: each side trusts exactly one certificate, that of the other side."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from controller.bridge.bridge_address import private_folder
from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.errors import BridgeError

VALID_DAYS = 825
SIDES = ("bridge", "session")
FILES = ("cert.pem", "key.pem", "peer.pem")


def make_certs(folder: Path) -> tuple[Path, ...]:
    """Make a key and a self-signed certificate for each side, with the other's certificate.

    Parameters
    ----------
    folder
        Gets ``bridge/`` (for the microscope's PC) and ``session/`` (for the session's machine).

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
    pairs = [_key_and_certificate(f"dualtilt {side}") for side in SIDES]
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


def _pinned(context: ssl.SSLContext, certs: Path) -> ssl.SSLContext:
    """Trust only the certificate of the peer, as the only root."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
        context.load_verify_locations(certs / "peer.pem")
    except OSError as error:
        raise BridgeError(
            f"certificates in {certs}: {error}: make them with `dualtilt bridge --make-certs DIR`"
        ) from error
    return context


def _key_and_certificate(name: str) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
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
