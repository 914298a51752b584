"""From a command line to a study: flags, exit codes, the compilation cache.

    python -m experiments.NAME --workdir=DIR [--smoke] [--quiet] [--config.a.b=c ...]

Exit codes: 0 done, 2 the user's input or flags are wrong (one line on stderr), 1 our
fault (a traceback), 130 stopped by Ctrl-C.
"""

import ast
import dataclasses
import difflib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import flags
from ml_collections import config_flags

from equity_jax.config import Config
from equity_jax.types import InputError

HELP = {"--help", "-help", "-h"}


def launch(
    main_config: Callable[[], Config],
    smoke: Callable[[Config], Config],
    study: Callable[[Config, str, bool], Any],
    argv: Sequence[str] | None = None,
    *,
    a_device_per_core: bool = True,
) -> NoReturn:
    """Runs `study(config, workdir, quiet)` as the command line asks, then exits.

    `--smoke` shrinks the default config; `--config.` flags come last and win.
    a_device_per_core: for sweeps of many small models; a study of image networks wants
    all cores for one convolution.

    Example:
        >>> if __name__ == "__main__":  # doctest: +SKIP
        ...     launch(main_config, smoke, study)
    """

    def main(argv: Sequence[str]) -> None:
        about = inspect.getdoc(inspect.getmodule(study)) or __doc__
        config, values = read_flags(main_config, smoke, argv, about)
        if a_device_per_core:
            use_cores()
        use_cache()
        if not values.quiet:
            print(f"{config.name}: writes to {values.workdir}, runs on {_devices()}")
        study(config, values.workdir, values.quiet)

    sys.exit(exit_codes(main, argv))


def exit_codes(
    main: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None
) -> int:
    """Calls `main(argv)`; bad input and Ctrl-C become one line on stderr and a code.

    Any other error is ours and leaves as it is, with its traceback (Python exits 1).

    Example:
        >>> sys.exit(exit_codes(main))  # doctest: +SKIP
    """
    try:
        main(sys.argv if argv is None else argv)
    except InputError as error:
        print(f"equity_jax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        line = "stopped; start the same command again to resume"
        print(f"equity_jax: {line}", file=sys.stderr)
        return 130
    return 0


def parse(
    values: flags.FlagValues,
    argv: Sequence[str],
    about: str | None,
    required: Sequence[str] = (),
) -> list[str]:
    """Reads flags into `values`; returns the words that are not flags.

    `--help` prints `about` and the flags, and exits 0.

    Raises:
        InputError: an unknown flag, a value of the wrong type, a missing flag.

    Example:
        >>> values = flags.FlagValues()
        >>> _ = flags.DEFINE_string("out", None, "the file", flag_values=values)
        >>> parse(values, ["collect", "a", "--out=b.csv", "c"], None), values.out
        (['a', 'c'], 'b.csv')
    """
    if HELP & set(argv[1:]):
        print(f"{(about or '').strip()}\n\nFlags:")
        for name in values:
            print(f"  --{name}={values[name].value}  ({values[name].help})")
        raise SystemExit(0)
    values.set_gnu_getopt()  # flags and other words in any order
    try:
        rest = values(list(argv))[1:]
    except flags.Error as error:
        raise InputError(str(error)) from error
    for name in required:
        if not values[name].value or str(values[name].value).startswith("-"):
            raise InputError(f"--{name}=... is missing ({values[name].help})")
    return rest


def read_flags(
    main_config: Callable[[], Config],
    smoke: Callable[[Config], Config],
    argv: Sequence[str],
    about: str | None,
) -> tuple[Config, flags.FlagValues]:
    """The config, and the flags workdir, smoke and quiet, of one command line.

    Raises:
        InputError: as `parse`; an unknown field or a wrong value of the config.
    """
    values = flags.FlagValues()
    for define, name, value, text in (
        (flags.DEFINE_string, "workdir", None, "run directory; again in it: resumes"),
        (flags.DEFINE_bool, "smoke", False, "a tiny version that takes seconds"),
        (flags.DEFINE_bool, "quiet", False, "print nothing but errors"),
    ):
        define(name, value, text, flag_values=values)
    config = main_config()
    if HELP & set(argv[1:]):
        lines = [f"  --config.{k}={_show(v)}" for k, v in leaves(config).items()]
        parse(values, argv, "\n".join([about or "", "", "Config:", *lines]))
    _check_names(argv, config)
    try:
        values.set_gnu_getopt()
        values(list(argv), known_only=True)  # --smoke decides what overrides change
        config = smoke(config) if values.smoke else config
        config_flags.DEFINE_config_dataclass(
            "config", config, flag_values=values, sys_argv=list(argv)
        )
    except flags.Error as error:
        raise InputError(str(error)) from error
    rest = parse(values, argv, about, ("workdir",))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    for name, value in leaves(values.config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise InputError(f"--config.{name}={_show(value)} is not finite")
    return values.config, values


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field that is a flag: "train.steps" -> its value.

    Example:
        >>> leaves(Config())["train.steps"]
        500
    """
    found = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        inside = dataclasses.is_dataclass(value)
        found |= leaves(value, name + ".") if inside else {name: value}
    return found


def use_cores() -> None:
    """One jax device per core on a CPU, so that a sweep fits a chunk on each.

    Must come before jax looks at its devices; a count already in XLA_FLAGS wins.
    """
    known = os.environ.get("XLA_FLAGS", "")
    flag = "xla_force_host_platform_device_count"
    if flag not in known:
        cores = os.cpu_count() or 1
        os.environ["XLA_FLAGS"] = f"{known} --{flag}={cores}".strip()


def use_cache() -> None:
    """Keeps compiled programs for the next run, in the user's cache folder.

    JAX_COMPILATION_CACHE_DIR names another folder, or none if it is empty.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        import jax

        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = os.path.join(base, "equity_jax", "jax")
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _devices() -> str:
    import jax

    kinds = [device.device_kind for device in jax.devices()]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _check_names(argv: Sequence[str], config: Config) -> None:
    known = leaves(config)
    for word in argv[1:]:
        match = re.match(r"--?(?:no)?config(?:\.([^=]*))?(?:=|$)", word)
        if match and match[1] not in known:
            flag = word.split("=")[0]
            close = difflib.get_close_matches(match[1] or "", known, 3, 0.6)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"{flag} is no field of the config{hint} (see --help)")


def _show(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


class _Tuple(flags.ArgumentParser):
    """Reads "a,b(1, 2)" and "('a', 'b(1, 2)')" alike; each item by `kind`."""

    def __init__(self, kind: type):
        self.kind = kind

    def parse(self, argument: Any) -> tuple[Any, ...]:
        if isinstance(argument, tuple):
            return argument
        text = argument.strip().rstrip(",")
        try:
            node = ast.parse(text or "()", mode="eval").body
        except SyntaxError as error:
            raise ValueError("write items with commas between: a,b,c") from error
        several = isinstance(node, ast.Tuple | ast.List)
        return tuple(self._item(text, n) for n in (node.elts if several else [node]))

    def _item(self, text: str, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.kind(node.value)
        return self.kind(ast.get_source_segment(text, node))

    def flag_type(self) -> str:
        return f"items of {self.kind.__name__}"


for _kind in (str, int, float):
    config_flags.register_flag_parser_for_type(tuple[_kind, ...], _Tuple(_kind))
