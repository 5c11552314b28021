#!/usr/bin/env bash
# Installs what a build needs and is missing: system packages (Debian 12, Ubuntu 24.04 or later) and
# LibTorch in .deps. Says what before it does. A second run finds everything there.
#
# LIBTORCH or Torch_DIR, where set, name a LibTorch to use instead.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  cmake g++ make ninja-build
  python3 python3-pip
  nlohmann-json3-dev libxxhash-dev libyaml-cpp-dev libspdlog-dev libcli11-dev
  libopencv-imgproc-dev libjpeg-dev libpng-dev libwebp-dev libgif-dev libtiff-dev zlib1g-dev
  libgloo-dev
  libgtest-dev libgmock-dev
)
torch=torch==2.11.0
# What the CPU libraries of the wheel load; the whole CUDA set takes 3 GB more.
torch_cpu=("$torch" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
torch_folder=.deps/python

say() { echo "bootstrap: $*" >&2; }

has_package() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages() {
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here; if the build misses something, install the counterparts of: ${packages[*]}"
    return
  fi
  local missing=() package
  for package in "${packages[@]}"; do
    has_package "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  local install="apt-get install -y --no-install-recommends ${missing[*]}" as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      say "missing system packages, and neither root nor sudo to install them; run this once:"
      echo "$install"
      exit 1
    fi
    as_root=(sudo)
  fi
  say "installing system packages: ${missing[*]}"
  # Lists that are missing or old are renewed only when the first attempt fails for it.
  local run=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive)
  # shellcheck disable=SC2086
  "${run[@]}" $install >&2 || { "${run[@]}" apt-get update >&2 && "${run[@]}" $install >&2; }
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; }

# torch 2.11 of PyPI has kernels from compute capability 7.5 on.
refuse_old_gpu() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | sort -V | head -n 1)
  [ "$(printf '7.5\n%s\n' "$capability" | sort -V | head -n 1)" = 7.5 ] && return 0
  say "a GPU of compute capability $capability, which $torch has no kernels for; set LIBTORCH to an older one as docs/v100.md tells"
  exit 1
}

install_torch() {
  [ -z "${LIBTORCH:-}" ] && [ -z "${Torch_DIR:-}" ] || return 0
  local wanted=(--no-deps "${torch_cpu[@]}") what="$torch, CPU part (1.3 GB)"
  if has_gpu; then
    refuse_old_gpu
    wanted=("$torch")
    what="$torch with CUDA (4.6 GB)"
    [ ! -d "$torch_folder/nvidia/cudnn" ] || return 0
  elif [ -d "$torch_folder/torch/lib" ]; then
    return 0
  fi
  say "installing $what into $torch_folder"
  # Beside it first: an interrupted download must not look like a whole one.
  rm -rf "$torch_folder.part"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$torch_folder.part" "${wanted[@]}" >&2
  rm -rf "$torch_folder"
  mv "$torch_folder.part" "$torch_folder"
}

mkdir -p .deps
install_packages
install_torch
