#!/usr/bin/env bash
# Builds everything in build/torch27 against torch 2.7.1, whose PyPI wheel (CUDA 12.6) still holds
# kernels for V100, and runs the tests on the CPU. Arguments go to ctest: scripts/check_torch27.sh -L data.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the CPU libraries of the wheel load; the whole CUDA set takes 2.5 GB more.
wanted=(torch==2.7.1 nvidia-cuda-runtime-cu12==12.6.77 nvidia-cuda-cupti-cu12==12.6.80)
folder=.deps/torch27

say() { echo "check_torch27: $*" >&2; }

if [ ! -d "$folder/torch/lib" ]; then
  say "installing ${wanted[*]} (0.8 GB to fetch) into $folder"
  # Beside it first: an interrupted download must not look like a whole one.
  rm -rf "$folder.part"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target "$folder.part" "${wanted[@]}" >&2
  rm -rf "$folder"
  mv "$folder.part" "$folder"
fi

unset Torch_DIR
LIBTORCH=$PWD/$folder/torch
export LIBTORCH
scripts/bootstrap.sh
. .deps/env.sh
cmake -S . -B build/torch27 -G Ninja -DCMAKE_BUILD_TYPE=Release
cmake --build build/torch27
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} ctest --test-dir build/torch27 --output-on-failure -j2 "$@"
