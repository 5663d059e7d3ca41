# `make demo` and `make test` need nothing but a Python with venv; each does its own set-up, once.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Installed first and by itself: a bare range would pull a build with CUDA, several GB larger.
TORCH  := torch==2.13.0
WORKERS ?= 2

.PHONY: help demo test coverage nightly mutants bench bench-page regimes proofs docs package lint format clean
.DEFAULT_GOAL := help

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 18

demo: $(VENV)/.dynloop ## classify the trained checkpoints that ship with dynloop
	$(BIN)/dynloop classify demo

test: $(VENV)/.test ## run the tests, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

# Compiled code cannot be traced: the tests of compiled maps run once more as plain Python.
coverage: $(VENV)/.coverage ## run the tests and report the lines of dynloop that none reaches
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" --cov --cov-report=
	OMP_NUM_THREADS=1 NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --cov --cov-append --cov-report= tests/maps/test_duals.py tests/maps/test_kept.py tests/maps/test_kernel_map.py tests/maps/test_surveys.py
	$(BIN)/coverage report

nightly: $(VENV)/.interop ## run the slow tests, ten times the drawn cases, and the mutants
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 tests/adapters/test_other_libraries.py
	OMP_NUM_THREADS=1 DYNLOOP_PROPERTIES=10 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" tests/theory

mutants: $(VENV)/.test ## break the library in named ways; the property suite must notice each
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants.run --workers $(WORKERS) --write

bench: $(VENV)/.test ## run the benchmarks and print their ratios
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/benchmarks --benchmark-only -s

bench-page: $(VENV)/.test ## run the benchmarks and write docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks.page

regimes: $(VENV)/.test ## classify 500 orbits of known class, print the confusion matrix
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.regimes.run --workers $(WORKERS)

# In a scratch folder: coqc writes beside what it reads.
proofs: ## check theory/dichotomy.v with Coq; every theorem must rest on nothing
	@command -v coqc >/dev/null || { echo "make proofs needs coqc (Coq 8.16): apt-get install --no-install-recommends coq" >&2; exit 1; }
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; cp theory/dichotomy.v "$$scratch"; \
	  if ! (cd "$$scratch" && coqc -q dichotomy.v > said) || grep -vx 'Closed under the global context' "$$scratch/said"; \
	  then echo "theory/dichotomy.v is not proved: see above" >&2; exit 1; fi; \
	  echo "theory/dichotomy.v: $$(grep -c '^Theorem' theory/dichotomy.v) theorems proved, resting on nothing ($$(coqc --print-version | cut -d' ' -f1))"

docs: $(VENV)/.docs ## build the documentation in docs/_build; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html -c docs . docs/_build
	@echo 'open docs/_build/docs/index.html'

package: $(VENV)/.package ## build wheel and sdist, install the wheel into an empty environment, run the demo there
	TORCH='$(TORCH)' $(BIN)/python -m tests.check_package

lint: $(VENV)/.dev ## check style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## bring the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and every cache
	rm -rf $(VENV) docs/_build docs/generated docs/gallery sg_execution_times.rst .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: made again when pyproject.toml changes.
$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dynloop needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@echo 'installing $(TORCH) into $(VENV)'
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	@touch $@

$(VENV)/.dynloop: $(VENV)/.torch pyproject.toml
	@echo 'installing dynloop and what it needs into $(VENV)'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# one for each dependency group of that name
$(addprefix $(VENV)/.,test dev docs package interop coverage): $(VENV)/.%: $(VENV)/.dynloop
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@

$(VENV)/.interop $(VENV)/.coverage: $(VENV)/.test
