#!/usr/bin/env bash
# The wheels that a bare GPU machine needs besides torch and its kind, for benchmarks/gpu/run.sh: made where there is a network.
# usage: benchmarks/gpu/wheels.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.whl}
python=${PYTHON:-python3}
# antlr4-python3-runtime has no wheel on PyPI and is built here; the others are pure Python
"$python" -m pip wheel --quiet --no-deps --constraint constraints.txt --wheel-dir "$folder" \
  hydra-core omegaconf antlr4-python3-runtime==4.9.3 rich markdown-it-py mdurl pygments
ls "$folder"
