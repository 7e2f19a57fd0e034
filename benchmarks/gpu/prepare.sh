# Sourced by the scripts beside it, in the repository's root: a bare machine's packages, and the source tree.
# What it lacks of hydra-core, omegaconf, antlr4-python3-runtime, rich, markdown-it-py, mdurl and pygments is installed from the
# folder "$wheels" (benchmarks/gpu/wheels.sh makes it) into a folder of its own. The tree need not be installed.
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if ! "$python" -c 'import hydra, omegaconf, rich' 2>/dev/null; then
  site=$(mktemp -d)
  "$python" -m pip install --quiet --no-index --no-deps --target "$site" "$wheels"/*.whl || exit 1
  export PYTHONPATH="$PYTHONPATH:$site"
fi
