"""The house rules that can be read from the source: who imports whom, and size."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("equity_jax", "experiments", "scripts")
    for path in (ROOT / folder).rglob("*.py")
)
TESTS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "tests").glob("*.py"))

FLOORS = {
    1: "types nouns registry metrics solvers glm families minimize config config_data "
    "config_methods counts predictive blend keys files clock face calibration quasi "
    "wide glm_rows pca neighbors probes probe perceptrons least_squares erasure dfr "
    "lasso saddle reductions",
    2: "data models methods schemes tasks audit store systems",
    3: "train",
    4: "forecasts results verdict run grid inference networks arms trials trial_files "
    "last_layers removal posthoc",
    5: "equity_jax experiments scripts",
}
# Imports within one floor: a module split in two; run and its parts; launch.py, which
# has the flags and exit codes that scripts share.
BESIDE = {
    ("config", "config_data"),
    ("config", "config_methods"),
    ("solvers", "families"),
    ("solvers", "glm"),
    ("solvers", "glm_rows"),
    ("solvers", "minimize"),
    ("solvers", "wide"),
    ("wide", "families"),
    ("wide", "minimize"),
    ("wide", "quasi"),
    ("glm_rows", "families"),
    ("pca", "glm_rows"),
    ("neighbors", "glm_rows"),
    ("perceptrons", "keys"),
    ("probe", "glm_rows"),
    ("probes", "least_squares"),
    ("probes", "neighbors"),
    ("probes", "perceptrons"),
    ("probes", "probe"),
    ("probes", "solvers"),
    ("dfr", "keys"),
    ("dfr", "lasso"),
    ("dfr", "probe"),
    ("dfr", "probes"),
    ("dfr", "solvers"),
    ("reductions", "perceptrons"),
    ("reductions", "probe"),
    ("reductions", "saddle"),
    ("reductions", "solvers"),
    ("erasure", "least_squares"),
    ("erasure", "probe"),
    ("erasure", "probes"),
    ("glm", "counts"),
    ("glm", "families"),
    ("glm", "minimize"),
    ("families", "counts"),
    ("families", "minimize"),
    ("predictive", "counts"),
    ("calibration", "minimize"),
    ("results", "forecasts"),
    ("verdict", "results"),
    ("run", "results"),
    ("run", "verdict"),
    ("run", "forecasts"),
    ("networks", "inference"),
    ("arms", "networks"),
    ("arms", "results"),
    ("arms", "run"),
    ("trial_files", "arms"),
    ("trial_files", "networks"),
    ("trial_files", "results"),
    ("trials", "arms"),
    ("trials", "networks"),
    ("trials", "results"),
    ("trials", "run"),
    ("trials", "trial_files"),
    ("trials", "verdict"),
    ("posthoc", "last_layers"),
    ("removal", "last_layers"),
    ("removal", "run"),
    ("scripts", "experiments"),
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}
# Which rooms of the package may know a library; experiments and scripts where said.
LIBRARIES = {
    "flax": {"models", "types"},
    "optax": {"train", "tasks", "methods", "solvers", "minimize", "perceptrons"},
    "orbax": {"train/checkpoint"},
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "google_crc32c": {"data"},
    "fsspec": {"data"},
    "apache_beam": {"scripts"},
    "cv2": {"data"},
    "simplejpeg": {"data"},
    "PIL": {"data", "scripts"},
    "pydicom": {"data"},
    "safetensors": {"models"},
    "h5py": {"models"},
    "absl": {"experiments", "scripts"},
    "ml_collections": {"experiments"},
}
# "file: rule" -> why it is allowed. Empty: nothing is.
ALLOWED: dict[str, str] = {}

MAX_FILE, MAX_FUNCTION = 250, 40


def room_of(path: str) -> str:
    """equity_jax/audit/page.py -> audit; scripts/collect.py -> scripts."""
    parts = path.removesuffix(".py").split("/")
    if parts[0] != "equity_jax":
        return parts[0]
    return "equity_jax" if parts[1] == "__init__" else parts[1]


def imported(path: str) -> Iterator[str]:
    """Dotted names of every import, wherever in the file it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), path)


def our_room(name: str) -> str | None:
    """The room that an imported name belongs to; None: not ours."""
    first, *rest = name.split(".")
    if first == "equity_jax" and rest and rest[0] in FLOOR:
        return rest[0]
    return first if first in ("equity_jax", "experiments", "scripts") else None


def may_import(importer: str, room: str) -> bool:
    if importer == room or room == "types" or (importer, room) in BESIDE:
        return True
    if room == "equity_jax":  # the face is for users, not for the rooms behind it
        return importer in ("experiments", "scripts")
    return FLOOR[room] < FLOOR[importer]


def functions(path: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def has_docstring(node: ast.AST) -> bool:
    return bool(ast.get_docstring(node))


def refuse(path: str, problems: list[str]) -> None:
    found = [f"{path}: {p}" for p in problems if f"{path}: {p}" not in ALLOWED]
    assert not found, "\n".join(found)


def test_the_walk_finds_the_house():
    assert {"equity_jax/types.py", "experiments/launch.py"} <= set(SOURCES)


@pytest.mark.parametrize("path", SOURCES)
def test_every_file_has_a_floor(path):
    assert room_of(path) in FLOOR, f"{path}: give {room_of(path)} a floor in FLOORS"


@pytest.mark.parametrize("path", SOURCES)
def test_imports_point_down(path):
    room = room_of(path)
    rooms = {our_room(name) for name in imported(path)} - {None}
    wrong = sorted(r for r in rooms if not may_import(room, r))
    refuse(path, [f"{room} must not import {other}" for other in wrong])


@pytest.mark.parametrize("path", SOURCES)
def test_libraries_stay_in_their_rooms(path):
    stem = path.removesuffix(".py").removeprefix("equity_jax/")
    known = {name.split(".")[0] for name in imported(path)}
    problems = [
        f"only {', '.join(sorted(rooms))} may import {library}"
        for library, rooms in LIBRARIES.items()
        if library in known and not rooms & {room_of(path), stem}
    ]
    refuse(path, problems)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.startswith("equity_jax/")])
def test_the_package_sets_no_jax_config(path):
    problems = [
        f"line {node.lineno} sets jax.config"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("jax.config.update", "config.update")
    ]
    problems += [
        "imports jax.config" for n in imported(path) if n.startswith("jax.config")
    ]
    refuse(path, problems)


@pytest.mark.parametrize("path", SOURCES)
def test_public_names_have_docstrings(path):
    module = tree(path)
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    top = [n for n in module.body if isinstance(n, defined)]
    inside = [
        n
        for c in top
        if isinstance(c, ast.ClassDef) and not c.name.startswith("_")
        for n in c.body
        if isinstance(n, defined)
    ]
    nodes = [n for n in (*top, *inside) if not n.name.startswith("_")]
    problems = [f"{n.name} has no docstring" for n in nodes if not has_docstring(n)]
    refuse(path, problems + ([] if has_docstring(module) else ["no docstring"]))


@pytest.mark.parametrize("path", SOURCES)
def test_files_and_functions_stay_short(path):
    problems = []
    lines = len((ROOT / path).read_text("utf-8").splitlines())
    if lines > MAX_FILE:
        problems.append(f"{lines} lines, at most {MAX_FILE}")
    for node in functions(path):
        # A docstring that says shapes, errors and sources may be as long as it must.
        said = node.body[0] if has_docstring(node) else None
        length = node.end_lineno - node.lineno + 1
        length -= said.end_lineno - said.lineno + 1 if said else 0
        if length > MAX_FUNCTION:
            problems.append(f"{node.name}: {length} lines, at most {MAX_FUNCTION}")
    refuse(path, problems)


def texts() -> list[str]:
    """Every file of the project that is text and can hold a path."""
    fixed = ["setup.py", "pyproject.toml", "constraints.txt", "README.md", ".ci/run"]
    shells = [p.relative_to(ROOT).as_posix() for p in (ROOT / "scripts").rglob("*.sh")]
    pages = [p.relative_to(ROOT).as_posix() for p in ROOT.glob("equity_jax/**/*.j2")]
    present = [name for name in fixed if (ROOT / name).exists()]
    return sorted(SOURCES + TESTS + shells + pages + present)


@pytest.mark.parametrize("path", texts())
def test_no_absolute_machine_paths(path):
    machine = re.compile(r"(?<![\w.$}/])/(?:home|root|Users|work|mnt|opt|srv)/\w")
    lines = (ROOT / path).read_text("utf-8").splitlines()
    problems = [f"line {i}: {x}" for i, x in enumerate(lines, 1) if machine.search(x)]
    refuse(path, problems)


def test_allowances_are_still_needed():
    for entry in ALLOWED:
        assert (ROOT / entry.split(":")[0]).exists(), f"{entry} is gone: remove it"


@pytest.mark.parametrize(
    ("importer", "room", "fine"),
    [
        ("audit", "train", False),
        ("audit", "data", False),
        ("metrics", "registry", False),
        ("metrics", "types", True),
        ("store", "config", True),
        ("run", "train", True),
        ("train", "run", False),
        ("run", "equity_jax", False),
        ("experiments", "scripts", False),
        ("scripts", "experiments", True),
        ("equity_jax", "run", True),
    ],
)
def test_the_floors_mean_what_they_say(importer, room, fine):
    assert may_import(importer, room) is fine


def test_imports_are_seen_wherever_they_stand(tmp_path):
    path = tmp_path / "late.py"
    path.write_text(
        "import equity_jax.audit.pages.page\n"
        "def f():\n"
        "    from equity_jax import train, config as c\n"
        "    from equity_jax import fit\n"
        "    from scripts.collect import collect\n"
    )
    rooms = [our_room(name) for name in imported(str(path))]
    assert sorted(rooms) == ["audit", "config", "equity_jax", "scripts", "train"]


@pytest.mark.parametrize("words", [("check",), ("format", "--check")])
def test_style(words):
    command = [sys.executable, "-m", "ruff", *words, "--quiet", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
