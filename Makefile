# crossreid: every target sets up what it needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# the first of Python 3.11 to 3.13 that is there; any other: make PYTHON=/path/to/python
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version) 2>/dev/null)) python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup demo test test-fast test-full fuzz lint type docs bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install the package with the tested versions from PyPI

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11, 3.12 or 3.13 is needed and '$(PYTHON)' was not found: install it, or say 'make PYTHON=/path/to/python3.11'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "'$(PYTHON)' is none of Python 3.11, 3.12 and 3.13: say 'make PYTHON=/path/to/python3.11'." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## generate the people, train AlignGAN (minutes on two CPU cores), print and draw the results
	$(BIN)/python -m crossreid.train model=aligngan logger=wandb run_dir=outputs/demo overwrite=true

test: setup ## the whole test-suite (half an hour and more on two cores)
	$(BIN)/python -m pytest -n 2 -m "not full" --durations=40 --durations-min=5

test-fast: setup ## without the tests that are marked slow
	$(BIN)/python -m pytest -n 2 -m "not slow and not full"

fuzz: setup ## the fuzzers with ten times as many cases and a new seed: make fuzz SEED=7 repeats one
	@seed=$(or $(SEED),$$RANDOM); echo "fuzzing with SEED=$$seed"; \
	CROSSREID_FUZZ=10 $(BIN)/python -m pytest -n 2 tests/fuzz --hypothesis-seed=$$seed

test-full: setup ## the checks left out of `make test`: all ten trials against the slow reference, rows between, variants of long tests (40 minutes on one core)
	$(BIN)/python -m pytest -n 2 -m full

lint: setup ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup ## mypy, strict, on src
	$(BIN)/mypy

docs: setup ## the documentation site in docs/_build; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "Open docs/_build/index.html"

bench: setup ## speed of everything beside plain references, as JSON and Markdown under benchmarks/
	$(BIN)/python benchmarks/bench.py benchmarks/cpu.json

clean: ## remove the environment, runs, the drawn people and the cache; no dataset of yours
	rm -rf $(VENV) docs/_build docs/generated outputs multirun datasets/synthetic-* datasets/cache .pytest_cache .hypothesis .mypy_cache .ruff_cache dist build
