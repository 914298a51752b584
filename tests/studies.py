"""A study as a user starts it: in a process of its own, or refused in this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.launch import launch


def command(name: str, workdir: Path, *more: str) -> subprocess.Popen:
    """`python -m experiments.NAME` with the suite's compilation cache, quiet."""
    argv = [sys.executable, "-m", f"experiments.{name}", "--quiet"]
    return process([*argv, f"--workdir={workdir}", *more])


def process(argv: list[str]) -> subprocess.Popen:
    """A command with the suite's compilation cache."""
    cache = os.environ.get("EQUITY_JAX_CACHE", "") or str(
        Path(__file__).parents[1] / ".jax_cache"
    )
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
    return subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    """Waits, and insists that it ended well."""
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def refused(module, argv: list[str], capsys) -> str:
    """What the study says on stderr of flags that it refuses, with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        launch(module.main_config, module.smoke, module.study, ["x", *argv])
    errors = capsys.readouterr().err.strip()
    assert stop.value.code == 2, errors
    return errors
