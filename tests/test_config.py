"""The configuration: a plain tree of values that can be written, read and compared."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from equity_jax import config as module
from equity_jax import config_data
from equity_jax.config import Config, digest, from_dict, to_dict
from experiments.launch import leaves

FLAG_TYPES = {str, int, float, bool, *(tuple[k, ...] for k in (str, int, float))}


def parts(cls: type = Config) -> list[type]:
    inner = [
        f.type for f in dataclasses.fields(cls) if dataclasses.is_dataclass(f.type)
    ]
    return [cls, *(part for c in inner for part in parts(c))]


def changed(name: str) -> Config:
    """The default config with one field changed, whatever its type."""
    config = Config()
    *path, last = name.split(".")
    holder = config
    for part in path:
        holder = getattr(holder, part)
    value = getattr(holder, last)
    other = {bool: lambda v: not v, str: lambda v: v + "x", tuple: lambda v: (*v, 9)}
    setattr(holder, last, other.get(type(value), lambda v: v + 1)(value))
    return config


def test_a_config_survives_json():
    config = changed("train.lr")
    config.data.twin.size = 0.1 + 0.2
    text = json.dumps(to_dict(config))
    assert from_dict(json.loads(text)) == config


def test_an_absent_field_is_the_default_and_an_unknown_one_an_error():
    assert from_dict({"data": {"name": "cxr"}}).train == Config().train
    with pytest.raises(TypeError, match="step"):
        from_dict({"train": {"step": 5}})


@pytest.mark.parametrize("name", list(leaves(Config())))
def test_every_field_changes_the_digest_and_survives(name):
    config = changed(name)
    assert config != Config() and digest(config) != digest(Config())
    assert from_dict(to_dict(config)) == config


def test_the_digest_is_the_same_in_another_process():
    code = "from equity_jax.config import *; print(digest(Config()))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest(Config()) and len(digest(Config())) == 12


def test_two_configs_share_nothing():
    one = Config()
    one.data.twin.seed = 5
    assert Config().data.twin.seed == 0


@pytest.mark.parametrize("part", parts())
def test_every_field_can_be_a_flag(part):
    for field in dataclasses.fields(part):
        fine = field.type in FLAG_TYPES or dataclasses.is_dataclass(field.type)
        assert fine, f"{part.__name__}.{field.name}: {field.type} is not read by flags"
        if not dataclasses.is_dataclass(field.type):
            kind = getattr(field.type, "__origin__", field.type)
            assert isinstance(getattr(part(), field.name), kind), field.name


@pytest.mark.parametrize("file", [module.__file__, config_data.__file__])
def test_it_can_be_read_without_any_library(file):
    tree = ast.parse(Path(file).read_text("utf-8"))
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    names -= {"equity_jax.config_data", "equity_jax.config_methods"}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
