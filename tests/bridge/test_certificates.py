"""Certificates that `dualtilt bridge --make-certs` did not make."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.bridge.tls import (
    client_context,
    make_certs,
    refused_bridge,
    refused_client,
    server_context,
)
from controller.common.errors import BridgeError

CLIENT, SERVER = (
    x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
    x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
)


def certificate_for(use: x509.ObjectIdentifier) -> tuple[bytes, bytes]:
    """Return key and self-signed certificate, as PEM, that are good for one use only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made elsewhere")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([use]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    return (
        key.private_bytes(pem, private, serialization.NoEncryption()),
        certificate.public_bytes(pem),
    )


def exchange(folder: Path, side: str, use: x509.ObjectIdentifier) -> None:
    """Replace one side's certificate by one for `use`; the other side trusts it."""
    key, certificate = certificate_for(use)
    other = "session" if side == "bridge" else "bridge"
    (folder / side / "key.pem").write_bytes(key)
    (folder / side / "cert.pem").write_bytes(certificate)
    (folder / other / "peer.pem").write_bytes(certificate)


def handshake(folder: Path) -> ssl.SSLError:
    """Let both sides shake hands in memory; return the error of the side that refuses."""
    to_bridge, to_session = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client_context(folder / "session").wrap_bio(to_session, to_bridge),
        server_context(folder / "bridge").wrap_bio(to_bridge, to_session, server_side=True),
    )
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error
    raise AssertionError("nobody refuses")


@pytest.mark.parametrize(
    ("side", "use", "said"),
    [
        ("bridge", CLIENT, "the bridge's certificate was made for another use"),
        ("session", SERVER, "the client's certificate was made for another use"),
    ],
)
def test_a_certificate_for_another_use_is_said_so(
    private_folder: Path, side: str, use: x509.ObjectIdentifier, said: str
) -> None:
    folder = Path(tempfile.mkdtemp(dir=private_folder))
    make_certs(folder)
    exchange(folder, side, use)
    error = handshake(folder)
    text = refused_bridge(error, folder) if side == "bridge" else refused_client(error)
    assert said in text and "\n" not in text
    assert not any(word in text for word in ("SSL", "VERIFY"))


def test_an_encrypted_key_is_refused_and_no_terminal_asked(private_folder: Path) -> None:
    """A bridge started by a task scheduler would wait for a passphrase for ever."""
    folder = Path(tempfile.mkdtemp(dir=private_folder))
    make_certs(folder)
    path = folder / "bridge" / "key.pem"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(BridgeError, match=r"key\.pem is encrypted") as refused:
        server_context(folder / "bridge")
    assert "\n" not in str(refused.value)
