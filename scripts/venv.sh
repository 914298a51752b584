# Sourced by run.sh and test.sh: `prepare_venv` or `prepare_venv test` makes .venv
# with the pinned packages, and does nothing when they are there already.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$root/.venv/bin/python"

# Prints the first Python >= 3.11 that can make a virtual environment.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python; do
    if "$name" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
      >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  echo "equity_jax: error: no Python >= 3.11 with venv and ensurepip was found" \
    "(tried python3, python3.13, python3.12, python3.11, python)" >&2
  return 2
}

# Whether .venv is whole: one whose making was cut short has no pip, or is still the
# system's Python.
whole() {
  "$python" -c 'import sys, pip
sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 11))' >/dev/null 2>&1
}

# What the stamp remembers: the pins, the place (an editable install points to it)
# and the interpreter.
fingerprint() {
  { cat "$root/setup.py" "$root/constraints.txt" "$root/pyproject.toml"
    echo "$root"
    "$python" -c 'import sys; print(sys.version)'
  } | cksum | tr ' ' '-'
}

prepare_venv() {
  local extra="${1:-}" found stamp
  if ! whole; then
    found=$(find_python) || return
    echo "making .venv with $("$found" --version)"
    "$found" -m venv --clear "$root/.venv" || return
  fi
  stamp="$root/.venv/installed-$(fingerprint)"
  if [ -e "$stamp-test" ] || { [ -z "$extra" ] && [ -e "$stamp" ]; }; then
    return
  fi
  echo "installing the pinned packages into .venv (once; a few minutes)"
  "$python" -m pip install -qq --disable-pip-version-check \
    --constraint "$root/constraints.txt" \
    --editable "$root${extra:+[$extra]}" || return
  touch "$stamp${extra:+-$extra}"
}
