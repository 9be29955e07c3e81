# `make check` is what must pass; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TIANYU := $(VENV)/.tianyu
INSTALLED := $(VENV)/.installed
# Twice the cores of a small machine: tests wait for servers and programs.
WORKERS ?= 4
# Workers share the cores: a library's own threads only get in their way.
export OMP_NUM_THREADS ?= 1
# Tests start hundreds of programs. Where an image forbids to keep compiled modules, each would compile all of them.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help env demo servers servers-down servers-status test lint check bench bench-memory bench-engine bench-live bench-storage bench-web bench-photometry bench-peers bench-consumers bench-growth chaos fuzz web-test clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1 —/p' $(MAKEFILE_LIST)

env: $(INSTALLED)  ## Make .venv with Tianyu and its developers' tools, again when pyproject.toml or a kernel has changed

# A demo needs Tianyu alone. Packages are not compiled here: most of their modules are never imported, and Python
# compiles those that are.
$(TIANYU): PACKAGES := --editable .
$(INSTALLED): PACKAGES := --editable '.[dev]' --editable ./client
$(TIANYU) $(INSTALLED): pyproject.toml client/pyproject.toml hatch_build.py $(wildcard pipeline/kernels/*.[ch])
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "$(PYTHON) is not here: install Python 3.11 or later, or run make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tianyu needs Python 3.11 or later, this is $$("$(PYTHON)" --version 2>&1): run make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "this Python cannot make environments: on Debian and Ubuntu run apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PACKAGES)
	@touch $(TIANYU) $@

demo: $(TIANYU)  ## Simulate a small night and make its light curves and plots under demo/
	rm -rf demo
	$(BIN)/tianyu simulate demo/night --preset demo
	$(BIN)/tianyu run demo/night --workdir demo/work --catalog demo/night/truth/gaia.csv
	@echo "The plots:"; find demo/work -name '*.png' | sort

servers: env  ## Find or start the servers that the tests need
	@$(BIN)/python -m tests.servers up

servers-status: env  ## Ask the servers whether they are there
	@$(BIN)/python -m tests.servers status

servers-down: env  ## Stop the servers that were started
	@$(BIN)/python -m tests.servers down

test: servers  ## Run all tests, on real servers
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder  # nights are made once for a file, long ones first

lint: env  ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy client/tianyu
	$(BIN)/mypy tests/servers tests/conftest.py
	$(BIN)/lint-imports

check: lint test  ## Check everything

# What a bench is run by: with AGAINST=COMMIT both commits, in turns.
bench-of = $(BIN)/python -m $(if $(AGAINST),bench.against $(AGAINST) $(1),$(2)) $(ARGS)

bench: env  ## Measure the pipeline; AGAINST=COMMIT: beside that of another commit
	$(call bench-of,pipeline,bench.pipeline_bench)

bench-memory: env  ## Measure memory and time of each step on frames of 61 million pixels; ARGS="--keep DIR" keeps the 20 GB of frames
	$(BIN)/python bench/memory_bench.py $(ARGS)

bench-engine: servers  ## Measure the process engine, beside Celery; ARGS=--scale, --reuse or --embedded measure more; AGAINST=COMMIT
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(call bench-of,engine,bench.engine)

bench-live: env  ## Frames that come at a cadence: what is kept up with, and how soon each is in the light curves; ARGS
	$(BIN)/python -m bench.live $(ARGS)

bench-storage: env  ## Rows of fluxes in and out, on private servers; ARGS="--on sqlite mariadb mysql --rows 100000000"
	$(BIN)/python -m bench.storage $(ARGS)

bench-web: env  ## The web service on 20 million points, and a storm of questions beside a working engine; ARGS="--rows 500000 --on sqlite mariadb mysql"
	$(BIN)/python -m bench.web $(ARGS)

# An environment of its own: eloy and photutils hold astropy back.
bench-photometry: env  ## Scatter beside photutils, eloy and SExtractor; ARGS=--matrix: Tianyu alone, many nights
	$(BIN)/python -m venv $(VENV)/photometry
	$(VENV)/photometry/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench-photometry]'
	$(VENV)/photometry/bin/python -m bench.photometry $(ARGS)

# An environment without Tianyu: each tool is a program of its own.
bench-peers: env  ## Time for the same light curves by QLCP, eloy and SExtractor; ARGS="--frames 60 --rounds 3"
	@command -v source-extractor sex sextractor >/dev/null || { \
	  echo "SExtractor is not here, by which QLCP measures too: on Debian run apt-get install source-extractor" >&2; exit 1; }
	$(BIN)/python -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/peers/requirements.txt
	$(BIN)/python -m bench.peers --peers $(VENV)/peers/bin/python $(ARGS)

bench-consumers: env  ## A night by one to five consumers, on servers of its own: cost of each step, throughput, what limits it; ARGS
	$(BIN)/python -m bench.consumers $(ARGS)

bench-growth: env  ## CPU by the number of frames, stars, waiting processes and rows, and the exponent of each; ARGS="--only frames"
	$(BIN)/python -m bench.growth $(ARGS)

chaos: env  ## Kill and cut a running system for long, by CHAOS_SEEDS, CHAOS_KILLS, CHAOS_FRAMES; prints figures
	@$(BIN)/python -m tests.chaos

fuzz: env  ## Break headers of many instruments for long, FUZZ_EXAMPLES of them; prints figures
	@$(BIN)/python -m tests.unit.ingest.fuzz_headers

web-test: servers  ## Test the pages of the web service, in a browser too
	$(BIN)/python -m pytest tests/unit/services/web tests/integration/web

clean:  ## Remove what was built and measured; the environment and the servers stay
	rm -rf demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
