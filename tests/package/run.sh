#!/usr/bin/env bash
# run.sh BUILD TORCH: the archive, moved and without the build's LibTorch, and the wheel give the features of the build.
set -euo pipefail
build=$1 torch=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Skipped where packing would have to download its tools.
{ command -v patchelf && python3 -c 'import hatchling, wheel'; } >/dev/null 2>&1 || exit 77

fail() { echo "$*" >&2; exit 1; }
features() {  # NAME PROGRAM: those of an untrained network, into $work/NAME
  "$2" knn --weights random --config "$source/configs/smoke/tiny.yaml" --data "$work/images" --device cpu \
    eval.k=1 --output "$work/$1/knn" --dump-features "$work/$1" >/dev/null 2>&1 || fail "$1: ibot-eval fails"
  cmp "$work/$1/trainfeat.pth" "$work/build/trainfeat.pth" || fail "$1: other features"
}
packed=$("$source/scripts/package.sh" --build "$build" --output "$work/dist")
[[ $packed == *"glibc 2."*", LibTorch 2."* ]] || fail "expected what the archive needs, got $packed"
mkdir "$work/a b"
tar -xf "$work"/dist/*.tar.gz -C "$work/a b"
rm -r "$work"/dist/*
moved=$(echo "$work"/a\ b/*)
export PYTHONNOUSERSITE=1

"$build/bin/ibot-data" synth "$work/images" classes=2 train_per_class=4 val_per_class=2 size=40 >/dev/null
mkdir "$work/build"
"$build/bin/ibot-eval" knn --weights random --config "$source/configs/smoke/tiny.yaml" --data "$work/images" \
  --device cpu eval.k=1 --output "$work/build/knn" --dump-features "$work/build" >/dev/null 2>&1
LIBTORCH=$torch features archive "$moved/bin/ibot-eval"
! LIBTORCH=$work "$moved/bin/ibot-eval" --version 2>"$work/told" || fail "expected a refusal of a LIBTORCH without LibTorch"
grep -q "^error: LibTorch: expected .* in LIBTORCH, found none in $work; " "$work/told" || fail "got $(cat "$work/told")"
grep -rlF "$source" "$moved" --include=launch --include='*.json' && fail "the archive names the folder of the sources"

"$source/scripts/package.sh" --build "$build" --output "$work/dist" --wheel >/dev/null
python3 -m pip install --quiet --no-deps --no-index --target "$work/site" "$work"/dist/*.whl 2>/dev/null
PYTHONPATH=$work/site:$(dirname "$torch") features wheel "$work/site/bin/ibot-eval"
for program in "$build"/bin/ibot-*; do
  [ -x "$work/site/bin/${program##*/}" ] || fail "the wheel lacks ${program##*/}"
done
