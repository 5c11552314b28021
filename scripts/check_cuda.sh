#!/usr/bin/env bash
# Compiles the CUDA sources alone, without linking: what a machine without a GPU can tell about them.
#
#   scripts/check_cuda.sh [ARCH...]      sm numbers, such as 80 90; all of 70, 80 and 90 that nvcc knows
#   scripts/check_cuda.sh --volta        sm_70 by clang++-19, with the headers and the assembler of CUDA 12.6
#
# With LIBTORCH, the folder of LibTorch, also checks the source that goes from tensors to pointers. CUDA 13 compiles for
# no Volta: sm_70 needs the nvcc of CUDA 12 or --volta, which fetches three wheels of PyPI (23 MB) into .deps/cuda12.
# Exit status: 0 done, 1 an error of a source, 2 no compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = --volta ]; then
  command -v clang++-19 >/dev/null || { echo "error: clang++-19: not found; it is Debian's package clang-19" >&2; exit 2; }
  cuda=.deps/cuda12
  if [ ! -d $cuda/include ]; then
    rm -rf $cuda.part
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target $cuda.part \
      nvidia-cuda-nvcc-cu12==12.6.85 nvidia-cuda-runtime-cu12==12.6.77 nvidia-curand-cu12==10.3.7.77 >&2
    mkdir $cuda.part/whole  # one folder, which --cuda-path expects
    for part in nvvm bin include; do cp -r $cuda.part/nvidia/*/$part $cuda.part/whole; done
    mv $cuda.part/whole $cuda
    rm -rf $cuda.part
  fi
  for source in src/kernels/cuda/*.cu; do
    clang++-19 -x cuda -std=c++17 -O3 -Wno-unknown-cuda-version -Isrc --cuda-path=$cuda --cuda-gpu-arch=sm_70 \
      --cuda-device-only -c "$source" -o /dev/null
    echo "$source: sm_70"
  done
  exit 0
fi

export PATH="$PATH:/usr/local/cuda/bin"
command -v nvcc >/dev/null || { echo "error: nvcc: not found" >&2; exit 2; }

known=$(nvcc --list-gpu-arch)
archs=("$@")
[ ${#archs[@]} -gt 0 ] || for arch in 70 80 90; do
  if grep -q "compute_$arch$" <<< "$known"; then archs+=("$arch"); else echo "sm_$arch: not of this nvcc"; fi
done
targets=()
for arch in "${archs[@]}"; do targets+=(-gencode "arch=compute_$arch,code=sm_$arch"); done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for source in src/kernels/cuda/*.cu; do
  options=()
  [[ $source != */regions.cu ]] || options=(--fmad=false)
  nvcc -std=c++17 -O3 -Isrc "${options[@]}" "${targets[@]}" -c "$source" -o "$work/object.o"
  echo "$source: sm_${archs[*]}"
done

if [ -n "${LIBTORCH:-}" ]; then
  includes=()
  for folder in "$LIBTORCH"/../nvidia/cu*/include "$LIBTORCH"/../nvidia/cuda_runtime/include /usr/local/cuda/include; do
    [ ! -d "$folder" ] || includes+=(-isystem "$folder")
  done
  c++ -std=c++20 -fsyntax-only -Wall -Wextra -Iinclude -Isrc -isystem "$LIBTORCH/include" \
    -isystem "$LIBTORCH/include/torch/csrc/api/include" "${includes[@]}" src/kernels/cuda/functions.cpp
  echo "src/kernels/cuda/functions.cpp: checked against $LIBTORCH"
fi
