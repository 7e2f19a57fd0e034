#!/usr/bin/env bash
# A slice of the comparison at scale=medium: trains rows side by side on one GPU for some seconds, stops before the time is up, and
# goes on at the next call where this one ended. Scores are merged into benchmarks/results/medium (small JSON, no weights).
# usage: benchmarks/gpu/compare.sh SECONDS JOBS ROWS [SETTING ...]
#   SECONDS   of the whole call, drawing the people and packing included; JOBS at once; ROWS such as lba/full,lba/baseline
#   SETTING   of all runs, such as model.test_norm=per_modality (another RESULTS folder for other settings)
# What the next call needs lies in the folder STATE, which must be brought to where that call runs: of finished runs what they scored
# (0.1 MB each), of unfinished ones the checkpoint, most advanced first, as long as all together are below STATE_MIB; what does
# not fit is named with its size and starts over. Files of STATE are no larger than PART_MIB.
# A bare machine needs torch, torchvision, pytorch-lightning, torchmetrics, scipy, pillow and pyyaml; see prepare.sh.
# SEEDS=0,1,2 SCALE=medium DEVICE=gpu STATE=.state WHEELS=.whl STATE_MIB=1000 PART_MIB=100 RESULTS=benchmarks/results/medium
# RESERVE=40 (seconds kept for saving and packing) WORK=multirun/compare PYTHON=python3; DEVICE=cpu SCALE=smoke tries it out.
set -uo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,5p' "$0"
  exit 1
fi
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
wheels=${WHEELS:-.whl}
source benchmarks/gpu/prepare.sh
exec "$python" benchmarks/gpu/slices.py "$@"
