#!/usr/bin/env bash
# Brings what a build needs and is missing: packages (Debian 12, Ubuntu 24.04 or later; conda's elsewhere) and
# LibTorch in .deps. Says what before it does. A second run finds everything there.
#
#   scripts/bootstrap.sh [--cuda] [--no-root]
#
# Packages are installed by root or sudo. Without them, or with --no-root, they are downloaded and unpacked into
# .deps/system, CMake and Ninja come from PyPI, and `. .deps/env.sh` puts these programs on PATH.
# --cuda: LibTorch with CUDA also where this machine has no GPU, such as the login node of a cluster.
# LIBTORCH or Torch_DIR, where set, name a LibTorch to use instead.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the build needs: HEADER PACKAGE of Debian.
headers=(
  nlohmann/json.hpp nlohmann-json3-dev
  xxhash.h libxxhash-dev
  yaml-cpp/yaml.h libyaml-cpp-dev
  spdlog/spdlog.h libspdlog-dev
  CLI/CLI.hpp libcli11-dev
  opencv4/opencv2/imgproc.hpp libopencv-imgproc-dev
  jpeglib.h libjpeg-dev
  png.h libpng-dev
  webp/demux.h libwebp-dev
  gif_lib.h libgif-dev
  tiffio.h libtiff-dev
  zlib.h zlib1g-dev
  gloo/algorithm.h libgloo-dev
  gtest/gtest.h libgtest-dev
  gmock/gmock.h libgmock-dev
)
# Without them, ranks on CPUs or the tests are left out.
optional=" gloo/algorithm.h gtest/gtest.h gmock/gmock.h "
least_cmake=3.25 least_gcc=12 least_clang=14 least_glibc=2.28
torch=torch==2.11.0
# What the CPU libraries of the wheel load; the whole CUDA set takes 3 GB more.
torch_cpu=("$torch" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
torch_folder=.deps/python
# nvcc with what it runs and includes, all of the CUDA that the wheel is built for.
nvcc=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85)
nvcc_folder=.deps/cuda
cuda="" no_root=""

say() { echo "bootstrap: $*" >&2; }
fail() { say "$*"; exit 1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }  # VERSION LEAST
has() { command -v "$1" >/dev/null; }

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --cuda) cuda=1 ;;
      --no-root) no_root=1 ;;
      -h|--help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
      *) say "$1: no such option; --help lists them"; exit 2 ;;
    esac
    shift
  done
}

# Root or sudo that works: someone at a terminal may be asked for a password if sudo knows the account.
find_root() {
  as_root=()
  [ -z "$no_root" ] || return 1
  [ "$(id -u)" != 0 ] || return 0
  as_root=(sudo)
  has sudo && { sudo -n true 2>/dev/null || { [ -t 0 ] && id -nG | grep -qwE 'sudo|wheel|admin'; }; }
}

has_package() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ||
    { [ -z "$is_root" ] && grep -qx "$1" .deps/system/packages 2>/dev/null; }
}

has_header() {
  local folder
  for folder in "${CONDA_PREFIX:-/usr}/include" /usr/include /usr/include/*-linux-gnu /usr/local/include; do
    [ ! -e "$folder/$1" ] || return 0
  done
  return 1
}

# Lists that are missing or old are renewed only when the first attempt fails for it.
install_packages() {
  say "installing system packages: $*"
  local run=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
  local install=("${run[@]}" install -y --no-install-recommends "$@")
  "${install[@]}" >&2 || { "${run[@]}" update >&2 && "${install[@]}" >&2; }
}

find_packages() {
  local i missing=()
  if [ -n "$is_root" ]; then
    for i in cmake g++ make ninja-build python3 python3-pip; do
      has_package "$i" || missing+=("$i")
    done
  else
    has c++ || has g++ || [ -n "${CXX:-}" ] || missing+=(g++)
    has python3 || missing+=(python3)
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  fi
  for ((i = 1; i < ${#headers[@]}; i += 2)); do
    has_package "${headers[i]}" || missing+=("${headers[i]}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ -n "$is_root" ]; then
    install_packages "${missing[@]}"
  else
    scripts/unpack_packages.sh "${missing[@]}"
  fi
}

# Systems without apt-get.
expect_headers() {
  local i missing=()
  for ((i = 0; i < ${#headers[@]}; i += 2)); do
    has_header "${headers[i]}" || [[ $optional == *" ${headers[i]} "* ]] || missing+=("${headers[i]}")
  done
  [ ${#missing[@]} -eq 0 ] || fail "missing: ${missing[*]}; run \`conda env create -f environment.yml\` and" \
    "\`conda activate ibot\`, or use the container recipes in containers/ (docs/install.md)"
}

# CMake and Ninja of PyPI, where this machine's are missing or too old.
install_tools() {
  { has cmake && at_least "$(cmake --version | sed -n '1s/[^0-9]*//p')" $least_cmake && has ninja; } && return 0
  say "installing CMake and Ninja of PyPI into .deps/tools"
  pip_install .deps/tools "cmake>=$least_cmake" ninja
  mkdir -p .deps/bin
  local name
  for name in cmake ctest cpack; do
    ln -sf "../tools/cmake/data/bin/$name" ".deps/bin/$name"
  done
  ln -sf ../tools/bin/ninja .deps/bin/ninja
}

check_versions() {
  local compiler=${CXX:-} glibc version
  [ -n "$compiler" ] || compiler=$(has c++ && echo c++ || echo g++)
  has "$compiler" || fail "$compiler: not found; expected GCC $least_gcc or Clang $least_clang, or later"
  version=$("$compiler" -dumpfullversion -dumpversion)
  if "$compiler" --version | grep -q clang; then
    at_least "$version" $least_clang || fail "$compiler: expected Clang $least_clang or later, found $version"
  else
    at_least "$version" $least_gcc || fail "$compiler: expected GCC $least_gcc or later, found $version; set CXX to another"
  fi
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)
  [ -z "$glibc" ] || at_least "$glibc" $least_glibc ||
    fail "glibc: expected $least_glibc or later, which $torch needs, found $glibc; use the container recipes in containers/ (docs/install.md)"
}

has_gpu() { has nvidia-smi && nvidia-smi -L 2>/dev/null | grep -q GPU; }

# torch 2.11 of PyPI has kernels from compute capability 7.5 on.
refuse_old_gpu() {
  has_gpu || return 0
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | sort -V | head -n 1)
  at_least "$capability" 7.5 || fail "a GPU of compute capability $capability, which $torch has no kernels for;" \
    "set LIBTORCH to an older one as docs/v100.md tells"
}

# pip_install FOLDER PACKAGE...: beside it first, since an interrupted download must not look like a whole one.
pip_install() {
  local folder=$1
  shift
  rm -rf "$folder.part"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$folder.part" "$@" >&2
  rm -rf "$folder"
  mv "$folder.part" "$folder"
}

# The compiler of our own kernels.
install_nvcc() {
  { [ -n "${CUDACXX:-}" ] || has nvcc || [ -x /usr/local/cuda/bin/nvcc ]; } && return 0
  say "installing nvcc of PyPI into $nvcc_folder"
  pip_install "$nvcc_folder" --no-deps "${nvcc[@]}"
}

install_torch() {
  [ -z "${LIBTORCH:-}" ] && [ -z "${Torch_DIR:-}" ] || return 0
  local wanted=(--no-deps "${torch_cpu[@]}") what="$torch, CPU part (1.3 GB)"
  if [ -n "$cuda" ] || has_gpu; then
    refuse_old_gpu
    install_nvcc
    wanted=("$torch")
    what="$torch with CUDA (4.6 GB)"
    [ ! -d "$torch_folder/nvidia/cudnn" ] || return 0
  elif [ -d "$torch_folder/torch/lib" ]; then
    return 0
  fi
  say "installing $what into $torch_folder"
  pip_install "$torch_folder" "${wanted[@]}"
}

read_arguments "$@"
mkdir -p .deps
cat > .deps/env.sh <<END
[ ! -d $(printf %q "$PWD/.deps/bin") ] || PATH=$(printf %q "$PWD/.deps/bin"):\$PATH
[ ! -d $(printf %q "$PWD/$nvcc_folder") ] || export CUDACXX="\${CUDACXX:-$(printf %q "$PWD/$nvcc_folder")/nvidia/cu13/bin/nvcc}"
END
. .deps/env.sh
is_root=""
# An active environment of conda counts if it is that of environment.yml.
if has apt-get && [ ! -e "${CONDA_PREFIX:-}/include/xxhash.h" ]; then
  ! find_root || is_root=1
  find_packages
else
  expect_headers
fi
hash -r
. .deps/env.sh
install_tools
check_versions
install_torch
if [ -d .deps/bin ] || [ -d "$nvcc_folder" ]; then
  say "programs that were unpacked are found after: . .deps/env.sh"
fi
