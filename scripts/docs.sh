#!/usr/bin/env bash
# Writes the reference of the public headers to build/docs/html, or to DIR/html: scripts/docs.sh [DIR]. Exits with 1
# if Doxygen warns.
set -euo pipefail
IBOT_DOCS=$(realpath -m "${1:-$(dirname "$0")/../build/docs}")
cd "$(dirname "$0")/.."
command -v doxygen >/dev/null || { echo "error: doxygen: not found; apt-get install doxygen" >&2; exit 2; }
IBOT_VERSION=$(sed -n 's/^project(ibot VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
export IBOT_DOCS IBOT_VERSION
mkdir -p "$IBOT_DOCS"
warnings=$(doxygen docs/Doxyfile 2>&1)
[ -z "$warnings" ] || { echo "$warnings" >&2; exit 1; }
echo "$IBOT_DOCS/html/index.html"
