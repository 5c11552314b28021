#!/usr/bin/env bash
# Packages of Debian or Ubuntu without root: downloads PACKAGE... and what they need that is not installed,
# and unpacks all of it into .deps/system, where CMake looks (scripts/cmake/IbotDeps.cmake). Unpacked programs
# that a build needs get a wrapper in .deps/bin.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD/.deps/system
apt_folder=$PWD/.deps/apt
arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
libraries=$root/usr/lib/$arch

say() { echo "unpack_packages: $*" >&2; }

# apt-get with lists and downloads of its own; what is installed is read from the system.
download() {
  mkdir -p "$apt_folder"/{state/lists/partial,cache/archives/partial}
  local own=(-o Dir::State="$apt_folder/state" -o Dir::State::status=/var/lib/dpkg/status
    -o Dir::Cache="$apt_folder/cache" -o Debug::NoLocking=1)
  apt-get -qq "${own[@]}" update >&2
  apt-get -qq "${own[@]}" install -y --no-install-recommends --download-only "$@" >&2
}

unpack() {
  local part name
  mkdir -p "$root/usr"/{bin,sbin,lib,lib64}
  for part in bin sbin lib lib64; do
    ln -sfn "usr/$part" "$root/$part"
  done
  for part in "$apt_folder"/cache/archives/*.deb; do
    name=$(dpkg-deb -f "$part" Package)
    case $name in
      libc6|libc-bin|libc-l10n|locales) ;;  # those of the running system
      *) dpkg-deb --fsys-tarfile "$part" | tar -x --keep-directory-symlink --no-same-owner -C "$root" ;;
    esac
    echo "$name" >> "$root/packages"
  done
  rm -rf "$apt_folder"
}

# What the packages' own scripts would have done.
configure() {
  local part script name system
  # Alternatives: BLAS and LAPACK are one of several implementations, in a folder each.
  for part in "$libraries"/{blas,lapack}/*.so*; do
    [ ! -e "$part" ] || ln -sf "${part#"$libraries"/}" "$libraries/"
  done
  # Libraries that the system has without their headers: links and CMake files name them beside what was unpacked.
  for part in "$libraries"/*.so; do
    [ -L "$part" ] && [ ! -e "$part" ] || continue
    name=$(readlink "$part")
    [[ $name != */* && -e /usr/lib/$arch/$name ]] || continue
    system=$(readlink -f "/usr/lib/$arch/$name")
    ln -s "$system" "$libraries/$name"
    [ -e "$libraries/${system##*/}" ] || ln -s "$system" "$libraries/"
  done
  # The C library's linker scripts name files by absolute paths.
  for script in "$libraries"/lib{c,m}.so; do
    [ ! -e "$script" ] || sed -i "s# /usr/lib/# $root/usr/lib/#g" "$script"
  done
}

# wrap NAME COMMAND...: a program NAME that finds the unpacked libraries.
wrap() {
  local name=$1
  shift
  mkdir -p .deps/bin
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\nexport LD_LIBRARY_PATH\n%s "$@"\n' \
    "$libraries" "$*" > ".deps/bin/$name"
  chmod +x ".deps/bin/$name"
}

wrap_programs() {
  local name include
  printf -v include ' -idirafter %q' "$root/usr/include/$arch" "$root/usr/include"
  for name in g++ c++; do
    [ ! -x "$root/usr/bin/g++" ] ||
      wrap "$name" "exec $(printf '%q -B%q -B%q -L%q' "$root/usr/bin/g++" "$libraries/" "$root/usr/bin/" "$libraries")$include"
  done
  if [ -d "$root/usr/lib/python3/dist-packages/pip" ]; then
    local python=$root/usr/bin/python3
    [ -x "$python" ] || python=$(PATH=${PATH#"$PWD/.deps/bin:"} command -v python3)
    wrap python3 "PYTHONPATH=$(printf %q "$root/usr/lib/python3/dist-packages")\${PYTHONPATH:+:\$PYTHONPATH} exec $(printf %q "$python")"
  fi
}

for program in apt-get dpkg-deb; do
  command -v "$program" >/dev/null || { say "$program: not found; expected Debian or Ubuntu"; exit 1; }
done
say "downloading into .deps/system, since there is no root: $*"
download "$@"
unpack
configure
wrap_programs
