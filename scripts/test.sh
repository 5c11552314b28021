#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Arguments go to ctest: scripts/test.sh -L golden.
# IBOT_GOLDENS=DIR runs the reference tests over another folder of the layout of tests/goldens.
set -euo pipefail
if [ -n "${IBOT_GOLDENS:-}" ]; then
  IBOT_GOLDENS=$(cd "$IBOT_GOLDENS" && pwd)
  export IBOT_GOLDENS
fi
cd "$(dirname "$0")/.."

scripts/bootstrap.sh
cmake --preset release
cmake --build --preset release
# The tests' arithmetic is small: more threads than one a test would only wait for each other.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} ctest --preset release -j2 "$@"
