"""`dualtilt export`: what it prints, what it refuses, and that nothing is overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from processing.export import export
from processing.results import Cause, Summary, Trust, Verdict
from tests.support.finished_session import make_finished

VERDICTS = {Trust.DOUBTFUL: ExitCode.OK, Trust.REFUSED: ExitCode.SAFETY}


def run(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


@pytest.mark.parametrize("state", VERDICTS)
def test_prints_what_it_wrote_and_why_the_count_is_not_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], state: Trust
) -> None:
    verdict = Verdict(state=state, reasons=("it is noisy",), causes=(Cause.NOISE,))
    session = make_finished(tmp_path / "session", verdict=verdict)
    assert run(session, "--to", "star", "imod") == VERDICTS[state]
    out = session.resolve() / "export"
    files = [out / "particles_fused.star", out / "particles_fused.mod"]
    assert capsys.readouterr().out.splitlines() == [*map(str, files), f"{state}: it is noisy"]
    assert all(path.stat().st_size for path in files)


def test_replaces_an_export_only_with_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_finished(tmp_path / "session")
    out = tmp_path / "out"
    out.mkdir()
    (out / "particles_fused.star").write_text("mine")
    assert run(session, "--to", "imod", "star", "--out", out) == ExitCode.USAGE
    assert "already holds particles_fused.star; --again" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "particles_fused.star": "mine"
    }
    assert run(session, "--to", "imod", "star", "--out", out, "--again") == ExitCode.OK
    assert (out / "particles_fused.star").read_text().startswith("# version")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("summary.json", "no such file; give the folder of a finished session"),
        ("fused.mrc", "no such file"),
        ("particles_fused.csv", "no such file"),
    ],
)
def test_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, message: str
) -> None:
    session = make_finished(tmp_path / "session")
    (session / "processed" / spoil).unlink()
    assert run(session, "--to", "star") == ExitCode.USAGE
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert spoil in error


@pytest.mark.parametrize("target", ["star", "imod", "dynamo", "emd"])
def test_refuses_a_volume_that_was_cut_off(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_finished(tmp_path / "session")
    volume = session / "processed/fused.mrc"
    os.truncate(volume, volume.stat().st_size - 1)
    assert run(session, "--to", target) == ExitCode.USAGE
    assert "fused.mrc: cut off: it holds" in capsys.readouterr().err
    assert not (session / "export").exists()


@pytest.mark.parametrize("target", ["star", "imod", "dynamo", "nexus"])
def test_refuses_a_table_that_was_cut_off(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_finished(tmp_path / "session")
    table = session / "processed/particles_fused.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-2]))  # the last line is beside the object
    assert run(session, "--to", target) == ExitCode.USAGE
    assert "particles_fused.csv: cut off: it holds" in capsys.readouterr().err
    assert not list((session / "export").iterdir())


def test_waits_for_the_fused_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = make_finished(tmp_path / "session")
    path = session / "processed/summary.json"
    summary = Summary.model_validate_json(path.read_text())
    unfused = summary.counts.model_copy(update={"fused": None})
    path.write_text(summary.model_copy(update={"counts": unfused}).model_dump_json())
    assert run(session, "--to", "star") == ExitCode.USAGE
    assert "no fused volume yet" in capsys.readouterr().err
    processed = session / "processed"
    (processed / "fused.mrc").rename(processed / "A_sirt.mrc")
    (processed / "particles_fused.csv").rename(processed / "particles_A.csv")
    assert run(session, "--to", "star", "--volume", "A") == ExitCode.OK
    assert (session / "export/particles_A.star").exists()


def test_exports_a_single_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = make_finished(tmp_path / "session")
    processed = session / "processed"
    path = processed / "summary.json"
    summary = Summary.model_validate_json(path.read_text())
    single = summary.counts.model_copy(update={"fused": None, "B": None})
    path.write_text(summary.model_copy(update={"counts": single}).model_dump_json())
    (processed / "fused.mrc").rename(processed / "A_sirt.mrc")
    (processed / "particles_fused.csv").rename(processed / "particles_A.csv")
    assert run(session, "--to", "dynamo", "zarr") == ExitCode.OK
    written = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert written == ["particles_A.tbl", "particles_A.doc", "A.ome.zarr"]
    assert len((session / "export/particles_A.tbl").read_text().splitlines()) == 2


def test_refuses_an_unknown_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, "--to", "relion")
    assert stopped.value.code == ExitCode.USAGE
    assert "invalid choice: 'relion' (choose from 'star'" in capsys.readouterr().err


FOREIGN = {
    "zarr": "fused.ome.zarr/holiday/a.jpg",
    "nexus": "fused.nxs/a.jpg",
    "hspy": "fused.hspy/zarr.json",
}
"""Somebody's file in a folder of the name that an export has."""


@pytest.mark.parametrize("target", FOREIGN)
def test_a_folder_that_no_export_wrote_is_not_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    session = make_finished(tmp_path / "session")
    mine = session / "export" / FOREIGN[target]
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert run(session, "--to", "star", target, "--again") == ExitCode.USAGE
    assert "move it away, or choose another --out folder" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert not (session / "export/particles_fused.star").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_linked_export_folder_in_a_session_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_finished(tmp_path / "session")
    (tmp_path / "elsewhere").mkdir()
    (session / "export").symlink_to(tmp_path / "elsewhere")
    assert run(session, "--to", "star") == ExitCode.USAGE
    assert "export: is a link" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_in_a_session_is_not_waited_for(tmp_path: Path) -> None:
    session = make_finished(tmp_path / "session")
    for name in ("journal.jsonl", "protocol.toml", "about.toml"):
        os.mkfifo(session / name)
    assert run(session, "--to", "nexus") == ExitCode.OK
    assert run(session, "--to", "star", "--about", session / "about.toml") == ExitCode.USAGE


ODD_RESULTS = {
    "a place that is no number": ("particles_fused.csv", "-2.4000", "nan", "is not finite"),
    "a place beyond all": ("particles_fused.csv", "-2.4000", "1e300", "over 1e+09"),
    "a voxel of nothing": ("summary.json", '"pixel_nm":1.2', '"pixel_nm":-1', "damaged"),
    "a voxel beyond all": ("summary.json", '"pixel_nm":1.2', '"pixel_nm":1e308', "damaged"),
}


@pytest.mark.parametrize("name", ODD_RESULTS)
def test_impossible_results_are_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file, before, after, says = ODD_RESULTS[name]
    path = make_finished(tmp_path / "session") / "processed" / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    assert run(tmp_path / "session", "--to", "star") == ExitCode.USAGE
    assert says in capsys.readouterr().err


def test_a_table_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = make_finished(tmp_path / "session") / "processed/particles_fused.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run(tmp_path / "session", "--to", "star") == ExitCode.OK


@pytest.mark.parametrize("target", ["nexus", "hspy", "emd", "zarr"])
def test_a_disk_too_small_is_said_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    monkeypatch.setattr(export, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    session = make_finished(tmp_path / "session")
    assert run(session, "--to", "star", target) == ExitCode.USAGE
    assert "export: 1 MB are needed, 1 MB are free; free disk space" in capsys.readouterr().err
    assert list((session / "export").iterdir()) == []
