#!/usr/bin/env bash
# Set up .venv: check what the machine must have, install the pinned packages (Horovod is built from
# source against the locked TensorFlow), the package itself in editable mode, and Delta's jars.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
  echo "install: $1 is missing; on Debian: apt-get install $2" >&2
  exit 1
}

python=""
for candidate in "${PYTHON:-}" python3.11 python3; do
  if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python="$candidate"
    break
  fi
done
[ -n "$python" ] || missing "Python 3.11" "python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing "Python's venv module" "python3.11-venv"

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
version=$("$java" -version 2>&1 | sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' | head -n 1) || true
[ -n "$version" ] && [ "$version" -ge 17 ] || missing "Java 17 or newer" "openjdk-17-jre-headless"

command -v g++ >/dev/null || command -v c++ >/dev/null || missing "a C++ compiler" "g++"
command -v make >/dev/null || missing "make" "make"

echo "install: packages into .venv (about 4 minutes; Horovod is built from source)"
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==0.13.*"
# Compiled now, because every training rank and Spark worker imports TensorFlow or pyspark afresh.
.venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode -r requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .

echo "install: Delta's jars, and the classes that Spark loads (about a minute)"
.venv/bin/python -m sparkmine.prepare
touch .venv/.installed
