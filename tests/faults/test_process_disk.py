"""The disk fills up while `dualtilt process` writes: one line, and nothing that looks whole."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from controller.report import write
from processing import Summary, write_images
from processing.files.rawtlt import write_rawtlt
from processing.pipeline import process_all
from tests.support.shims.failures import FAILURES, FailingOperation
from tests.support.shims.operations import hooked
from tests.support.spheres import jittered, packed, tilt_series

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")

ANGLES = np.arange(-70.0, 75.0, 10.0)
FOR_GOOD = 1_000_000
KINDS = ("write", "sync", "rename")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small series, with earlier results beside it, processed with the whole program."""
    folder = tmp_path_factory.mktemp("data")
    taken = jittered(len(ANGLES), jitter_px=0.0, angle_error_deg=0.0, counts=500, seed=1)
    points = packed(12, 8.6, order="fcc", seed=3)
    write_images(folder / "A.mrc", tilt_series(points, ANGLES, 7.0, 40, taken).images, 0.9)
    write_rawtlt(folder / "A.rawtlt", ANGLES)
    return folder / "A.mrc"


@pytest.fixture(scope="module")
def computed(stack: Path) -> object:
    """Process the series once, keep its result and write its results: each test writes it again."""
    kept: list[object] = []
    compute = process_all.process_series

    def compute_and_keep(*arguments: object, **options: object) -> object:
        kept.append(compute(*arguments, **options))  # type: ignore[arg-type]
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_all, "process_series", compute_and_keep)
        assert process(stack, stack.parent / "earlier") in (ExitCode.OK, ExitCode.SAFETY)
    return kept[0]


def process(stack: Path, out: Path) -> int:
    return main(["process", str(stack), "--out", str(out), "--diameter-nm", "6.3"])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_disk_that_is_full_at_any_moment_is_named_and_leaves_no_result(
    stack: Path,
    computed: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(process_all, "process_series", lambda *_, **__: computed)
    page = stack.parent / "earlier/report.html"
    monkeypatch.setattr(write, "write_report", lambda out: shutil.copy(page, out))
    operations: Counter[str] = Counter()
    with hooked(lambda kind, name: operations.update([kind])):
        whole = process(stack, tmp_path / "whole")
    earlier = content(stack.parent)
    files = sorted(path.name for path in (tmp_path / "whole/processed").iterdir())
    assert all(operations[kind] >= len(files) for kind in KINDS), operations
    for kind in KINDS:
        for number in range(1, operations[kind] + 1):
            out = tmp_path / f"{kind}-{number}"
            failing = FailingOperation(kind, number, FAILURES[kind]["ENOSPC"], FOR_GOOD)
            capsys.readouterr()
            with hooked(failing):
                code = process(stack, out)
            where = f"{kind} {number}"
            said = capsys.readouterr().err.splitlines()[-1]
            assert code == ExitCode.PROCESSING_FAILED, where
            assert said.startswith("dualtilt: ") and "No space left on device" in said, where
            assert "free space on this disk" in said and "process again" in said, where
            assert not list(out.rglob("*.partial")), where
            left = sorted(path.name for path in (out / "processed").glob("*"))
            assert "summary.json" not in left or left == files, where  # only its sync has failed
            assert out.exists() == (f"remove {out}/processed, which" in said), where
    assert content(stack.parent) == earlier
    shutil.rmtree(out / "processed", ignore_errors=True)
    assert process(stack, out) == whole
    assert sorted(path.name for path in (out / "processed").iterdir()) == files


def test_a_report_that_cannot_be_written_leaves_complete_results(
    stack: Path,
    computed: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(process_all, "process_series", lambda *_, **__: computed)

    def hook(kind: str, name: str) -> int | None:
        if kind == "rename" and name.endswith("report.html"):
            return FAILURES["rename"]["ENOSPC"](kind, name)
        return None

    with hooked(hook):
        assert process(stack, tmp_path / "out") == ExitCode.PROCESSING_FAILED
    said = capsys.readouterr().err.splitlines()[-1]
    assert "report.html: cannot be written: No space left on device" in said
    assert f"the results are complete: correct this, then: dualtilt report {tmp_path}/out" in said
    Summary.model_validate_json((tmp_path / "out/processed/summary.json").read_text())
    assert main(["report", str(tmp_path / "out")]) == ExitCode.OK
