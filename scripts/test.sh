#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Arguments go to ctest: scripts/test.sh -L golden.
# IBOT_GOLDENS=DIR runs the reference tests over another folder of the layout of tests/goldens,
# IBOT_GOLDENS_DENSE=DIR those of dense prediction, retrieval and analysis over one of tests/goldens_dense.
set -euo pipefail
for variable in IBOT_GOLDENS IBOT_GOLDENS_DENSE; do
  if [ -n "${!variable:-}" ]; then
    export "$variable=$(cd "${!variable}" && pwd)"
  fi
done
cd "$(dirname "$0")/.."

scripts/bootstrap.sh
. .deps/env.sh
cmake --preset release
cmake --build --preset release
# The tests' arithmetic is small: more threads than one a test would only wait for each other.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} ctest --preset release -j2 "$@"
