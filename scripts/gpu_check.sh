#!/usr/bin/env bash
# Everything that a first hour on a GPU should tell, in one command:
#
#   scripts/gpu_check.sh [--minutes 10] [--official DIR] [--data PHOTOS] [--programs DIR[:DIR]]
#                        [--device cuda|cpu|double] [--step-limit SECONDS] [--quick] OUT
#
# Facts of the device; reference values, training and resume on it and on a double of a GPU; own kernels against their
# fallbacks; NCCL with one rank; loss curves of 200 steps against the CPU's; speed, memory and share of the limit of
# ViT-S, B, L and Swin-T over batch sizes, with and without activation checkpointing; the official code (DIR, a checkout
# of bytedance/ibot) on the same device, also by torch.compile; evaluation; a profile by kind of kernel; and, with
# PHOTOS, the data pipeline.
#
# Programs and test binaries are looked for in --programs, else in PATH; nothing is built or fetched. Each step has a
# time limit and its output in OUT/STEP.{out,err,json}; one that fails or does not fit into the minutes is a line, and the
# rest goes on. OUT/check.json and OUT/check.md hold everything, with ratios to the official code and to matrix products alone.
# --quick: the least that shows that all runs; with --device cpu or double it is how this script is tried without a GPU.
# --device double: the tests' stand-in for a GPU, a library built beside them that is loaded before the programs;
# everything runs there that calls nothing of CUDA. Implies --quick.
# Exit status: 0 when every step that ran did well, 1 when one failed, 2 when the request was wrong.
set -uo pipefail

refuse() { echo "error: $1" >&2; exit 2; }

minutes=10 official= photos= device=cuda quick= out= step_limit=600
while [ $# -gt 0 ]; do
  case $1 in
    --minutes|--official|--data|--programs|--device|--step-limit) [ $# -gt 1 ] || refuse "$1: expected a value" ;;&
    --minutes) minutes=$2; shift 2 ;;
    --official) official=$2; shift 2 ;;
    --data) photos=$2; shift 2 ;;
    --programs) PATH="$2:$PATH"; shift 2 ;;
    --device) device=$2; shift 2 ;;
    --step-limit) step_limit=$2; shift 2 ;;
    --quick) quick=1; shift ;;
    -h|--help) sed -n '2,21s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) refuse "$1: no such option; --help lists them" ;;
    *) [ -z "$out" ] || refuse "$1: expected one folder, got $out as well"; out=$1; shift ;;
  esac
done
[ -n "$out" ] || refuse "OUT: expected a folder for the results"
[[ $minutes =~ ^[1-9][0-9]*$ ]] || refuse "--minutes: expected a whole number above 0, got $minutes"
[[ $step_limit =~ ^[1-9][0-9]*$ ]] || refuse "--step-limit: expected a whole number above 0, got $step_limit"
command -v ibot-bench >/dev/null || refuse "ibot-bench: not found; name its folder with --programs"
torch_device=$device on_device=()
if [ "$device" = double ]; then
  double=$(dirname "$(command -v ibot_device_tests)")/libibot_device_double.so
  [ -f "$double" ] || refuse "libibot_device_double.so: expected it beside ibot_device_tests; name their folder with --programs"
  torch_device=hpu quick=1 on_device=(env LD_PRELOAD="$double")  # LibTorch's name of a device that it does not have
fi
[ -z "$official" ] || [ -f "$official/main_ibot.py" ] || refuse "$official: expected a checkout of bytedance/ibot, found no main_ibot.py"
[ -z "$photos" ] || [ -d "$photos" ] || refuse "$photos: expected a folder of images"
mkdir -p "$out" && out=$(cd "$out" && pwd) || refuse "$out: cannot be created"
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bench=$(command -v ibot-bench)
end=$((SECONDS + 60 * minutes))
threads=$(nproc)
export OMP_NUM_THREADS=$threads IBOT_DEVICE=$torch_device
: > "$out/steps.tsv"

# step NAME SECONDS COMMAND...: a command in isolation. Its last line of output says why it failed.
step() {
  local name=$1 limit=$2 start=$SECONDS left=$((end - SECONDS)) status result
  shift 2
  limit=$((limit < step_limit ? limit : step_limit))
  limit=$((limit < left ? limit : left))
  if [ "$left" -lt 5 ]; then
    result="left out: no time left"
  else
    timeout --kill-after=10 "$limit" "$@" > "$out/$name.out" 2> "$out/$name.err"
    status=$?
    case $status in
      0) result=done ;;
      124|137) result="failed: time limit of $limit s" ;;
      *) result="failed: status $status: $(cat "$out/$name.out" "$out/$name.err" | grep -v '^$' | tail -n 1 | cut -c 1-200)" ;;
    esac
  fi
  printf '%s\t%s\t%s\n' "$name" "$((SECONDS - start))" "$result" >> "$out/steps.tsv"
  printf '%-32s %5s s  %s\n' "$name" "$((SECONDS - start))" "$result"
}

left_out() {
  printf '%s\t0\tleft out: %s\n' "$1" "$2" >> "$out/steps.tsv"
  printf '%-32s          left out: %s\n' "$1" "$2"
}

# bench NAME SECONDS SUBCOMMAND WORDS...
bench() {
  local name=$1 limit=$2
  shift 2
  step "$name" "$limit" "${on_device[@]}" "$bench" "$@" --device "$torch_device" --json "$out/$name.json"
}

# tests NAME SECONDS BINARY FILTER: the binary's own folder of reference values may be another machine's.
tests() {
  if ! command -v "$3" >/dev/null; then
    left_out "$1" "$3 not found"
  elif ! "$3" --gtest_list_tests --gtest_filter="$4" 2>/dev/null | grep -q '^  '; then
    left_out "$1" "$3 has no test $4"
  else
    local before=("${on_device[@]}")
    [ "$3" != ibot_device_tests ] || before=()  # contains the double
    IBOT_GOLDENS="$scripts/../tests/goldens" step "$1" "$2" "${before[@]}" "$3" --gtest_brief=1 --gtest_filter="$4"
  fi
}

facts() {
  step facts 30 python3 "$scripts/bench/device_facts.py" "$device"
  step version 30 "$bench" --version
}

correctness() {
  tests goldens 120 ibot_core_tests 'VisionTransformerGolden.*:SwinTransformerGolden.*:ProjectionHeadGolden.*:IbotLossGolden.*:OptimizerGolden.*'
  tests goldens_evaluation 120 ibot_eval_tests 'ClassifierGolden.*:FineTuneStepGolden.*:KnnGolden.*'
  tests goldens_step 120 ibot_train_tests 'StepGolden.*'
  tests resume 120 ibot_train_tests 'Trainer.*'
  tests kernels 120 ibot_core_tests '*Kernel*:Normalize.*:ScaledSoftmax.*'
  tests device_double 120 ibot_device_tests '*'  # mixed devices and hidden waits, wherever it runs
  if [ "$device" = cuda ]; then tests nccl 60 ibot_core_tests 'Nccl.*'; else left_out nccl "needs --device cuda"; fi
}

# The same run on the CPU in fp32, then on the device in each precision.
curves() {
  local steps=200 words
  [ -z "$quick" ] || steps=6
  words=(backbone.embed_dim=96 backbone.depth=[4] backbone.heads=[3] backbone.drop_path=0 backbone.patch_size=8
    backbone.image_size=64 augment.global_size=64 augment.local_size=32 augment.local_crops=2 head.prototypes=256
    head.patch_prototypes=256 head.hidden_dim=256 head.bottleneck_dim=64 train.batch_size=8 train.epochs=10
    schedule.warmup_epochs=2)
  step curve_reference 240 "$bench" curve "${words[@]}" train.precision=fp32 --steps $steps --device cpu \
    --json "$out/curve_reference.json"
  for precision in fp32 bf16 fp16; do
    if [ "$device" = cpu ] && [ $precision = fp16 ]; then left_out curve_fp16 "fp16 needs a GPU"; continue; fi
    bench curve_$precision 120 curve "${words[@]}" train.precision=$precision --steps $steps
  done
}

# Two numbers a line: architecture and batch sizes, small to large, so that one that is too large ends its line alone.
speed() {
  local table=("vit_small 64 128 256 512" "vit_base 32 64 128 256" "vit_large 16 32 64 128" "swin_tiny 32 64 128")
  local precisions=(bf16 fp16 fp32) steps=5 arch batch precision patch
  if [ -n "$quick" ]; then table=("vit_tiny 1" "swin_tiny 1") precisions=(fp32) steps=1; fi
  for line in "${table[@]}"; do
    set -- $line
    arch=$1; shift
    patch=16; [[ $arch = swin* ]] && patch=4
    for precision in "${precisions[@]}"; do
      for batch in "$@"; do
        # float32 and a second half precision at the middle of the range are enough.
        [ $precision = bf16 ] || [ $# -lt 3 ] || [ "$batch" = "$2" ] || continue
        bench "step_${arch}_${precision}_$batch" 90 step backbone.arch=$arch backbone.patch_size=$patch \
          train.precision=$precision train.batch_size=$batch --steps $steps
      done
    done
    bench "step_${arch}_${precisions[0]}_${!#}_recomputed" 90 step backbone.arch=$arch backbone.patch_size=$patch \
      train.precision=${precisions[0]} train.batch_size=${!#} train.checkpoint_activations=true --steps $steps
  done
}

# reference NAME SECONDS WORDS...: ours and another's in turn.
reference() {
  local name=$1 limit=$2 kind=cuda
  shift 2
  [ "$device" = cpu ] && kind=cpu
  step "$name" "$limit" python3 "$scripts/bench_reference.py" "${official:-none}" --bench "$bench" --device $kind \
    --threads "$threads" --json "$out/$name.json" "$@"
}

compare() {
  local half=fp16 batch
  if [ "$device" = double ]; then left_out official "the official code knows no double"; return; fi
  if [ -z "$official" ]; then left_out official "no --official"; return; fi
  if [ -n "$quick" ]; then
    reference official_vit_tiny 120 --case step --arch vit_tiny --batch 1 --rounds 1 --steps 1
    return
  fi
  [ "$device" = cpu ] && half=fp32
  for batch in 64 128 256; do
    reference official_vit_small_$batch 90 --case step --batch $batch --precision bf16 --peer-precision $half \
      --rounds 1 --steps 5
  done
  for batch in 32 64 128; do
    reference official_vit_base_$batch 90 --case step --arch vit_base --batch $batch --precision bf16 \
      --peer-precision $half --rounds 1 --steps 5
  done
}

# Last, for compiling takes minutes.
compiled() {
  local half=fp16
  if [ -z "$official" ] || [ -n "$quick" ]; then left_out official_compiled "needs --official, and no --quick"; return; fi
  [ "$device" = cpu ] && half=fp32
  reference official_compiled_vit_small_128 240 --case step --batch 128 --precision bf16 --peer-precision $half --rounds 1 \
    --steps 5 --compile
}

evaluation() {
  local batch=256 knn=() steps=5 precision=bf16
  if [ -n "$quick" ]; then batch=1 steps=1 precision=fp32 knn=(--rows 20000 --queries 200); fi
  bench features 60 features train.batch_size=$batch train.precision=$precision --steps $steps
  bench fine_tune 60 fine-tune train.batch_size=$((batch < 64 ? batch : 64)) train.precision=$precision --steps $steps
  bench knn 90 knn "${knn[@]}" --steps $steps
}

profile() {
  local arch=vit_small batch=128 precision=bf16
  if [ -n "$quick" ]; then arch=vit_tiny batch=1 precision=fp32; fi
  bench profile 90 profile backbone.arch=$arch train.batch_size=$batch train.precision=$precision --steps 3
  bench kernels_fp32 60 kernels train.precision=fp32 --steps 2
  bench kernels_bf16 60 kernels train.precision=bf16 --steps 2
}

data() {
  if [ -z "$photos" ]; then left_out data "no --data"; return; fi
  step data 120 "$bench" data "$photos" data.workers="$threads" --steps 2 --json "$out/data.json"
  step data_stages 120 "$bench" data "$photos" --stages --threads 1 --steps 1 --json "$out/data_stages.json"
}

facts
correctness
curves
profile
compare
speed
evaluation
data
compiled
python3 "$scripts/bench/device_report.py" "$out" || exit 1
! grep -q $'\tfailed' "$out/steps.tsv"
