"""Bad input to any verb gives one line, the documented exit code and no traceback."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from controller.app.cli.main import VERBS, build_parser, main
from controller.app.profiles import config_folder, find_profile
from controller.common.exit_codes import ExitCode

TYPO = 'name = "x"\n[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = -1.0\ndwel_us = 1.0\n'


AT_A_COLUMN = (
    'name = "x"\n[column]\nkind = "bridge"\n'
    "[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = 1.0\ndwell_us = 1.0\n"
)


TWO_TARGETS = """
[[targets]]
name = "a"
x_nm = 0.0
y_nm = 0.0
[[targets]]
name = "b"
x_nm = 3000.0
y_nm = 0.0
[targets.limits]
dose_budget_e_per_A2 = 10.0
"""


@dataclass(frozen=True)
class Case:
    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]


READING = {
    "inspect": ("inspect", "A.mrc"),
    "process": ("process", "A.mrc"),
    "batch": ("batch", "{dir}"),
}
"""Verbs that are told facts about series."""
CASES = [
    Case("run: no such protocol", ("run", "{dir}/none.toml"), ("none.toml",)),
    Case("run: several wrong fields", ("run", "{typo}"), ("pixel_nm", "dwel_us", "dwell_us")),
    Case("run: a column without its bridge", ("run", "{column}"), ("column.toml", "--bridge")),
    Case(
        "resume: a column without its bridge", ("resume", "{held}"), ("protocol.toml", "--bridge")
    ),
    Case(
        "run: no such connection file",
        ("run", "demo", "--headless", "--out", "{dir}/s", "--bridge", "{dir}/none.json"),
        ("none.json", "dualtilt bridge"),
    ),
    Case(
        "run: another file as connection file",
        ("run", "demo", "--headless", "--out", "{dir}/s", "--bridge", "{typo}"),
        ("typo.toml: is no connection file", "dualtilt bridge"),
    ),
    Case(
        "check: no such connection file",
        ("check", "demo", "--bridge", "{dir}/none.json"),
        ("none.json", "dualtilt bridge"),
    ),
    Case(
        "run: beyond the dose budget",
        ("run", "{costly}", "--headless", "--out", "{dir}/s"),
        ("costly.toml: limits.dose_budget_e_per_A2: 10 is less",),
    ),
    Case(
        "bridge: open to other machines without certificates",
        ("bridge", "--host", "0.0.0.0"),
        ("refusing to listen on 0.0.0.0 without certificates", "--make-certs"),
    ),
    Case("no such verb", ("frobnicate",), ("unknown verb 'frobnicate'; see dualtilt --help",)),
    Case(
        "another word for a verb",
        ("status", "{dir}"),
        ("unknown verb 'status' (did you mean attach?); see dualtilt --help",),
    ),
    Case(
        "a verb with a slip",
        ("analyze", "{dir}"),
        ("unknown verb 'analyze' (did you mean analyse?); see dualtilt --help",),
    ),
    Case(
        "an option with a slip",
        ("process", "A.mrc", "--pixle-nm=1.2"),
        ("unknown option --pixle-nm (did you mean --pixel-nm?); see dualtilt process --help",),
    ),
    Case(
        "an option of another verb",
        ("report", "{dir}", "--threshold", "3"),
        ("unknown option --threshold; see dualtilt report --help",),
    ),
    Case(
        "too many words",
        ("report", "{dir}", "{dir}"),
        ("too many arguments: {dir}; see dualtilt report --help",),
    ),
    Case("process: no series", ("process",), ("A.mrc|SESSION", "dualtilt process --help")),
    *(
        Case(f"{verb}: {option} {value}", (*words, option, value), (option, value, says))
        for verb, words in READING.items()
        for option, value, says in (
            ("--pixel-nm", "1e-9", "must be 0.001 to 50 nm"),
            ("--pixel-nm", "1,2", "write decimals with a point: 1.2"),
            ("--tilt-axis-deg", "500", "must be -180 to 180 degrees"),
        )
    ),
    Case(
        "process: a diameter in metres",
        ("process", "A.mrc", "--out", "o", "--diameter-nm", "6.3e-9"),
        ("--diameter-nm", "must be 0.05 to 2000 nm"),
    ),
    *(
        Case(f"{words[0]}: {words[-2]} is a file", words, ("typo.toml", "a file, not a folder"))
        for words in (
            ("run", "demo", "--headless", "--out", "{typo}"),
            ("demo", "--headless", "--out", "{typo}"),
            ("process", "A.mrc", "--out", "{typo}"),
            ("inspect", "{dir}", "--pictures", "{typo}"),
            ("export", "{dir}", "--to", "star", "--out", "{typo}"),
            ("compare", "{dir}", "--out", "{typo}/more"),
            ("bridge", "--make-certs", "{typo}"),
        )
    ),
    *(
        Case(
            f"{words[0]}: {words[-2]} where nothing can be written",
            words,
            ("/proc/x5: cannot be written, /proc takes no new files; choose another folder",),
        )
        for words in (
            ("run", "demo", "--headless", "--out", "/proc/x5"),
            ("process", "A.mrc", "--out", "/proc/x5"),
        )
    ),
    Case(
        "batch: --table is a folder",
        ("batch", "{dir}", "--table", "{dir}"),
        ("{dir}: is a folder; name a file",),
    ),
    Case("batch: a folder without series", ("batch", "{dir}"), ("{dir}: no series A",)),
    Case("process: an empty argument", ("process", "A.mrc", "--out", ""), ("empty",)),
    Case(
        "process: no such rule",
        ("process", "A.mrc", "--out", "o", "--rule", "best"),
        ("choose from 'masked', 'paper'",),
    ),
    Case(
        "process: a limit in bytes",
        ("process", "A.mrc", "--out", "o", "--memory-limit-GB", "6e9"),
        ("must be 0.01 to 100000 GB",),
    ),
    Case("bridge: a long lease", ("bridge", "--lease-s", "1e9"), ("must be 0.1 to 120 s",)),
    Case(
        "run: a target beyond the dose budget",
        ("run", "{targets}", "--headless", "--out", "{dir}/s"),
        ("targets.toml: limits.dose_budget_e_per_A2: 10 is less", "series of b need"),
    ),
    Case("plan: a folder", ("plan", "{dir}"), ("{dir}: is a folder, not a protocol",)),
    Case("retake: no tilts", ("retake", "{dir}", "--tilts", "0"), ("--tilts", "1 or more")),
    Case("bridge: a socket below a file", ("bridge", "--socket", "{typo}/s"), ("is a file",)),
    Case("bridge: a socket that is a folder", ("bridge", "--socket", "{dir}"), ("is a folder",)),
    Case("plan: no such protocol", ("plan", "{dir}/none.toml"), ("none.toml",)),
    Case("check: no such protocol", ("check", "{dir}/none.toml"), ("none.toml",)),
    Case("resume: no session", ("resume", "{dir}"), ("{dir}", "dualtilt run")),
    Case("attach: no session", ("attach", "{dir}", "--headless"), ("{dir}",)),
    Case("report: no session", ("report", "{dir}"), ("{dir}",)),
    Case("process: no such file", ("process", "{dir}/A.mrc", "--out", "{dir}/o"), ("A.mrc",)),
    Case("process: not an MRC", ("process", "{typo}", "--out", "{dir}/o"), ("typo.toml",)),
    Case("simulate: no such protocol", ("simulate", "x.toml", "--out", "{dir}/o"), ("x.toml",)),
    Case("demo: no such faults", ("demo", "--faults", "bogus"), ("bogus", "beam", "stage-lies")),
    Case(
        "bridge: no such faults", ("bridge", "--faults", "bogus"), ("bogus", "beam", "stage-lies")
    ),
    Case("demo: folder in use", ("demo", "--headless", "--out", "{dir}"), ("{dir}", "empty")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line_and_exit_code_2(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typo = tmp_path / "typo.toml"
    typo.write_text(TYPO)
    column, held = tmp_path / "column.toml", tmp_path / "held"
    column.write_text(AT_A_COLUMN)
    held.mkdir()
    (held / "protocol.toml").write_text(AT_A_COLUMN)
    (held / "journal.jsonl").touch()
    costly = tmp_path / "costly.toml"
    budget = "[limits]\ndose_budget_e_per_A2 = 10.0\n"
    costly.write_text(AT_A_COLUMN.replace('"bridge"', '"simulator"') + budget)
    targets = tmp_path / "targets.toml"
    targets.write_text(AT_A_COLUMN.replace('"bridge"', '"simulator"') + TWO_TARGETS)
    names = {
        "dir": tmp_path,
        "targets": targets,
        "typo": typo,
        "column": column,
        "held": held,
        "costly": costly,
    }
    try:
        code = main([word.format(**names) for word in case.words])
    except SystemExit as refused:
        code = int(str(refused.code))
    said = capsys.readouterr().err
    assert code == ExitCode.USAGE, said
    assert len(said.strip().splitlines()) == 1, said
    assert said.startswith("dualtilt: ")
    for part in case.says:
        assert part.format(**names) in said
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "{protocol}", "--headless", "--out", "{out}"),
        ("simulate", "{protocol}", "--out", "{out}"),
        ("config", "validate", "{protocol}"),
        ("check", "{protocol}", "--out", "{out}"),
    ],
    ids=lambda words: words[0],
)
def test_a_protocol_without_its_simulator_profile_says_what_to_copy(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol, out = tmp_path / "lonely.toml", tmp_path / "s"
    protocol.write_bytes(find_profile("demo").read_bytes())
    assert main([word.format(protocol=protocol, out=out) for word in words]) == ExitCode.USAGE
    printed = capsys.readouterr()
    said = printed.err + printed.out
    assert "column.simulator_settings" in said
    assert f"copy the folder {config_folder() / 'simulator'}" in said
    assert not out.exists()


def test_check_marks_a_bridge_that_was_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = tmp_path / "column.toml"
    column.write_text(AT_A_COLUMN)
    for protocol, says in (("demo", "none needed"), (str(column), "give --bridge FILE")):
        assert main(["check", protocol, "--out", str(tmp_path)]) == ExitCode.OK
        out = capsys.readouterr().out
        marks = dict(line.split(maxsplit=2)[1::-1] for line in out.splitlines())
        assert marks["dose"] == "ok" and marks["bridge"] == "--"
        assert says in out
        assert out.splitlines()[-1] == "All checks passed (dry run)"


def test_check_has_a_line_for_each_wrong_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = tmp_path / "wrong.toml"
    wrong = AT_A_COLUMN.replace("dwell_us = 1.0", "dwell_us = -1").replace("1.0", "0.0")
    protocol.write_text(wrong)
    assert main(["check", str(protocol), "--out", str(tmp_path)]) == ExitCode.USAGE
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert "scan.pixel_nm" in failed[0] and "scan.dwell_us" in failed[1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_text(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser(verb).parse_args([verb, "--help"])
    assert ended.value.code == 0
    assert verb in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"dualtilt {version('dualtilt')}"


def test_without_a_verb_all_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert [verb for verb in VERBS if f"    {verb} " not in said] == []
    assert "docs/GLOSSARY.md" in said
