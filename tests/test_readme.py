"""The README tells the truth: its Python block and its commands are executed."""

import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)


def block(language: str) -> str:
    return next(text for name, text in BLOCKS if name == language)


CACHE = os.environ.get("EQUITY_JAX_CACHE", str(ROOT / ".jax_cache"))


def shell(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": CACHE, **environment},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def help_of(module: str, capsys) -> str:
    """What --help says, in this process: its imports are warm."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)
        patch.setattr(sys, "argv", [module, "--help"])
        with pytest.raises(SystemExit) as stop:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not stop.value.code
    return capsys.readouterr().out


def test_the_python_block_runs_and_answers():
    code = block("python")
    assert len(code.strip().splitlines()) <= 16
    out = shell(sys.executable, "-c", code)
    assert "Non-Hispanic White" in out and "observed_expected" in out


def test_the_two_commands_are_the_two_commands():
    commands = [line.split("#")[0].strip() for line in block("bash").splitlines()]
    assert [c for c in commands if c] == [
        "bash scripts/run.sh",
        "bash scripts/test.sh",
    ]


def test_run_sh_ends_with_the_report(tmp_path):
    out = shell("bash", "scripts/run.sh", str(tmp_path / "run"), "--smoke")
    assert "served worst under" in out
    report = Path(out.strip().splitlines()[-1].removeprefix("report: "))
    assert report.name == "report.html" and report.exists()


def test_test_sh_runs_pytest():
    out = shell("bash", "scripts/test.sh", "--version", WORKERS="0")
    assert "pytest" in out


@pytest.mark.parametrize(
    "module",
    sorted(set(re.findall(r"`(?:python -m )?((?:experiments|scripts)\.\w+)", README))),
)
def test_every_command_exists_or_is_marked_missing(module, capsys):
    line = next(row for row in README.splitlines() if module in row)
    base = ROOT / module.replace(".", "/")
    path = base / "__main__.py" if base.is_dir() else base.with_suffix(".py")
    if line.startswith("|"):
        assert path.exists() == ("not yet" not in line)
    else:
        assert path.exists()
    if path.exists():
        assert module in help_of(module, capsys)


def test_every_picture_is_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).stat().st_size > 10_000


def test_the_map_names_files_that_exist_and_no_file_is_missing():
    words = set(re.findall(r"\w+", block_of_map()))
    package = ROOT / "equity_jax"
    folders = [
        ROOT,
        package,
        package / "train",
        package / "audit",
        ROOT / "experiments",
    ]
    there = {p.stem for folder in folders for p in folder.iterdir()}
    assert words - there - PROSE <= {"report", "file", "files"}, words - there - PROSE
    modules = {p.stem for p in package.iterdir() if p.suffix == ".py"}
    small = {"__init__", "face", "files", "clock"}  # helpers that the map leaves out
    assert modules - small <= words, modules - small - words


PROSE = set(
    "names flags random pure functions of arrays generalized linear four shelves base"
    " one a family what y means the directory judge machine stitched runs scores and"
    " study mirror commands in intervals tests thresholds errors charts pictures"
    " replicates predictions made probabilities many image network finished kept"
    " called exported saliency shortcuts table config"
    " every flag or newton quasi steps what an embedding holds heads on program"
    " its readers can be taken out it attribute frozen features classifier under"
    " constraint finished".split()
)


def block_of_map() -> str:
    start = README.index("## The house")
    return README[start : README.index("Imports point down")].split("```")[1]
