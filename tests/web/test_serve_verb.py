"""`dualtilt serve`: its greeting and its errors."""

from __future__ import annotations

import socket
from pathlib import Path
from socket import gethostname

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")


from controller.app.cli import serve as verb  # noqa: E402
from controller.app.cli.main import main  # noqa: E402
from controller.common.exit_codes import ExitCode  # noqa: E402
from controller.service.session_server import SessionService  # noqa: E402
from controller.ui.web import page_server as web  # noqa: E402


@pytest.mark.parametrize(
    ("host", "where", "warns"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", False),
        ("localhost", "http://localhost:8000", False),
        ("::1", "http://[::1]:8000", False),
        ("0.0.0.0", f"http://{gethostname()}:8000", True),
        ("::", f"http://{gethostname()}:8000", True),
        ("10.0.0.7", "http://10.0.0.7:8000", True),
    ],
)
def test_it_warns_if_other_machines_can_connect(host: str, where: str, warns: bool) -> None:
    lines = web.greeting(host, 8000)
    assert where in lines[0]
    assert any(line.startswith(f"WARNING: listening on {host}") for line in lines) == warns
    assert any("ssh -L" in line for line in lines) == warns


def test_errors_of_serve(
    session: SessionService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tmp_path), "--port", port]) == ExitCode.USAGE
    assert main(["serve", str(empty)]) == ExitCode.USAGE
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    assert main(["serve", str(tmp_path)]) == ExitCode.USAGE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    for wanted, line in zip((f"port {port}", "holds no session", "[web]"), errors, strict=True):
        assert wanted in line


def test_a_port_in_use_is_named_once(
    session: SessionService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tmp_path), "--port", port]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in told
    assert told.count(port) == 1
