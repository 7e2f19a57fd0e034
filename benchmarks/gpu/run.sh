#!/usr/bin/env bash
# Everything that needs a GPU, in one go and within minutes: every method trains and is scored there, step times and memory.
# usage: benchmarks/gpu/run.sh [OUTPUT_FOLDER] [FOLDER_OF_WHEELS]
# A bare machine needs torch, torchvision, pytorch-lightning, torchmetrics, scipy, pillow, rich and pyyaml; what it lacks of
# hydra-core, omegaconf and antlr4-python3-runtime is installed from the wheels. The source tree need not be installed.
set -uo pipefail
cd "$(dirname "$0")/../.."
output=${1:-benchmarks/results/gpu}
wheels=${2:-.whl}
python=${PYTHON:-python3}
mkdir -p "$output"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" -c 'import hydra, omegaconf' 2>/dev/null \
  || "$python" -m pip install --quiet --no-index --no-deps "$wheels"/*.whl || exit 1
status=0
echo "== every method trains and is scored"
"$python" benchmarks/gpu/runs.py "$output/runs.json" || status=1
echo "== step times and memory at the paper's sizes"
"$python" benchmarks/gpu/steps.py "$output/steps.json" || status=1
exit $status
