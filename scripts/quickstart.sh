#!/usr/bin/env bash
# From a fresh clone to a network that has learned from images without labels: installs what is missing,
# builds, makes a small image set, pre-trains on the GPU or CPU found, and compares k-NN accuracy of
# raw pixels, the untrained network and the trained one. Writes runs/quickstart/.
#
# Arguments are configuration overrides: scripts/quickstart.sh train.epochs=2
set -euo pipefail
cd "$(dirname "$0")/.."

config=configs/quickstart.yaml
out=runs/quickstart
data=$out/data
preset=release
! nvidia-smi -L >/dev/null 2>&1 || preset=cuda
bin=bin

step() { printf '\n== %s\n' "$*" >&2; }

step "dependencies"
scripts/bootstrap.sh
. .deps/env.sh
step "build ($preset)"
cmake --preset "$preset" -D IBOT_BUILD_DATA=ON -D IBOT_BUILD_APPS=ON
cmake --build --preset "$preset" --target programs

step "images in $data"
[ -d "$data/val" ] || "$bin/ibot-data" synth "$data"

evaluate() {  # NAME WEIGHTS: k-NN into $out/eval/NAME, accuracy at k = 20 on stdout
  "$bin/ibot-eval" knn --weights "$2" --config "$config" --data "$data" --output "$out/eval/$1" >&2
  sed -n '/"rounded"/,/}/s/.*"top1_k20": *\([0-9.]*\).*/\1/p' "$out/eval/$1/report.json"
}
step "k-NN of raw pixels"
pixels=$(evaluate pixels pixels)
step "k-NN of the untrained network"
untrained=$(evaluate untrained random)
step "pre-training, without labels"
"$bin/ibot-train" "$config" "data.path=$data/train" "$@" --output "$out"
step "k-NN of the trained network"
trained=$(evaluate trained "$out/checkpoints/last.safetensors")

cat <<END

k-NN accuracy (top-1 in percent, k = 20)
  raw pixels          $pixels
  untrained network   $untrained
  trained network     $trained

$out/log.txt         losses of each epoch
$out/metrics.jsonl   the same in finer steps; $out/tensorboard for TensorBoard
$out/checkpoints/    the networks
$out/report.html      curves and pictures in one page; $out/eval/*/report.html of the evaluations
END
