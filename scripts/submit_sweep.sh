#!/usr/bin/env bash
# Submits the runs of a sweep as one Slurm job array, a task for each run.
#
#   scripts/submit_sweep.sh [SBATCH OPTION...] -- ibot-train SWEEP.yaml [section.key=value...] [--output DIR]
#   scripts/submit_sweep.sh --gpus-per-node 1 --time 12:00:00 -- ibot-train sweep.yaml data.path=/data/train --output /shared/runs/sweep
#
# MOST=8 in the environment runs at most eight at a time. A task whose time is up has saved and is
# requeued. Afterwards, `ibot-train compare DIR` prints the table.
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
command -v sbatch >/dev/null || { echo "error: submit_sweep.sh: expected Slurm's sbatch on PATH, found none" >&2; exit 2; }

options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
if [ $# -lt 2 ]; then
  echo "error: submit_sweep.sh: expected [SBATCH OPTION...] -- ibot-train SWEEP..., got no --" >&2
  exit 2
fi
shift

count=$("$@" --list | wc -l)
if [ "$count" -lt 2 ]; then
  echo "error: submit_sweep.sh: expected a sweep of several runs, got one; submit it with sbatch itself" >&2
  exit 2
fi
quoted=$(printf '%q ' "$@")
exec sbatch --array "0-$((count - 1))${MOST:+%$MOST}" --requeue --signal USR1@120 --open-mode append "${options[@]}" <<EOF
#!/bin/bash
srun --kill-on-bad-exit=1 $quoted --sweep-run array --quiet
status=\$?
if [ \$status -eq 75 ]; then scontrol requeue "\${SLURM_ARRAY_JOB_ID}_\${SLURM_ARRAY_TASK_ID}"; fi
exit \$status
EOF
