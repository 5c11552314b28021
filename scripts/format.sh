#!/usr/bin/env bash
# Formats every C++ and CUDA file that git knows; with --check only tells which differ.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run -Werror)
git ls-files -z '*.h' '*.cpp' '*.cu' | xargs -0 -r clang-format "${mode[@]}"
