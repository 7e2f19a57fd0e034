#!/usr/bin/env bash
# Everything that needs a GPU, in one go and in under six minutes: every method trains and is scored there, steps never wait,
# batches come by a stream of their own, step times by format, memory. Tables and JSON go to OUTPUT_FOLDER.
# usage: benchmarks/gpu/run.sh [OUTPUT_FOLDER] [FOLDER_OF_WHEELS]
# A bare machine needs torch, torchvision, pytorch-lightning, torchmetrics, scipy, pillow and pyyaml; what it lacks of
# hydra-core, omegaconf, antlr4-python3-runtime, rich, markdown-it-py, mdurl and pygments is installed from the wheels into a
# folder of its own (benchmarks/gpu/wheels.sh makes them). The source tree need not be installed, and wandb is never imported.
# DEVICE=cpu HALF=32-true SCALE=smoke PATIENCE=20 runs the same on a CPU, as far as that goes; METHODS="agw jsia" is
# of these methods alone.
set -uo pipefail
cd "$(dirname "$0")/../.."
output=${1:-benchmarks/results/gpu}
wheels=${2:-.whl}
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
scale=${SCALE:-paper}
rounds=${ROUNDS:-5}
methods=${METHODS:-}
half=${HALF:-bf16-mixed}
mkdir -p "$output"
source benchmarks/gpu/prepare.sh
status=0
began=$SECONDS
part() {  # name, most seconds, command: a part that takes too long is stopped, and the others go on
  local name=$1 limit=$2
  shift 2
  echo "== $name (after $((SECONDS - began)) s)"
  timeout "$((limit * ${PATIENCE:-1}))" "$@" || { echo "== $name: exit $?"; status=1; }
}
part "steps never wait; batches come by a stream of their own" 30 "$python" benchmarks/gpu/checks.py "$output/checks.json" "$device" $methods
part "every method trains and is scored" 80 "$python" benchmarks/gpu/runs.py "$output/runs.json" "$device" $methods
steps=("$python" benchmarks/steps.py)
common=(--device "$device" --scale "$scale" --rounds "$rounds" --identities 395)
part "steps, float32" 45 "${steps[@]}" "$output/steps_float32.json" $methods "${common[@]}"
part "steps, bfloat16" 35 "${steps[@]}" "$output/steps_bf16.json" $methods "${common[@]}" --precision "$half"
part "steps, bfloat16, channels last, beside each method's own bare passes" 45 "${steps[@]}" "$output/steps_bf16_channels_last.json" \
  $methods "${common[@]}" --precision "$half" --channels-last --parts
part "steps, TF32" 15 "${steps[@]}" "$output/steps_tf32.json" ${methods:-strong agw aligngan} "${common[@]}" --tf32
part "memory" 45 "$python" benchmarks/memory.py "$output/memory.json" ${methods:-jsia aligngan tsgan strong} --scale "$scale" \
  --device "$device" --precision 32-true "$half" --measure-only
part "steps, compiled" 50 "${steps[@]}" "$output/steps_compiled.json" ${methods:-strong} "${common[@]}" --precision "$half" \
  --channels-last --compile "${COMPILE:-default}"
echo "== all in $((SECONDS - began)) s, exit $status"
exit $status
