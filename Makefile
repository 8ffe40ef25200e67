# Everything a developer needs, with Python 3.11 or newer, pip and make.
#
#   make demo       train iris models on a worker, load them, predict over HTTP
#                   (BACKEND=rq or dramatiq: the same over that, on a Redis of its own)
#   make test       every test, on real processes
#   make test-fast  the tests that take no time and kill nothing
#   make test-rq2   the tests of chariots-rq on the older RQ that it supports
#   make check      format, lint, types, dependencies, documentation, tests
#   make soak       a thousand jobs on each backend while workers and brokers are killed
#   make conformance  what every worker backend shows of the conformance kit, as a table
#                   (LEVEL=basic: the main behaviours only)
#   make bench      speed beside raw engines and hand-written servers
#   make docs       the documentation, in docs/_build/html
#   make format     rewrite the code in the house form
#   make clean      remove what the targets made, the environment included

PYTHON ?= python3
BACKEND ?= local
# How many tests run side by side, and what else pytest is told.
JOBS ?= 2
PYTEST_ARGS ?=
LEVEL ?= full
BENCH_ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)

# One stamp for each set of packages: nothing is installed again until the
# project's own files say something new.
RUN := $(VENV)/.ready-run
DEV := $(VENV)/.ready-dev
BENCH := $(VENV)/.ready-bench

RQ2 := $(VENV)/rq2
RQ2_VERSION := 2.12.0

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-rq2 conformance soak check bench docs format lint types clean

help:
	@sed -n 's/^#   //p' Makefile

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "chariots needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@# Some distributions ship Python without ensurepip: then the pip outside installs one inside.
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
		rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(PY) install --quiet pip; }

$(RUN): $(PY) $(SOURCES)
	@echo "setting up $(VENV) to run Chariots"
	@$(PIP) hatchling
	@$(PIP) --no-build-isolation --editable . --editable 'plugins/chariots_ml[sklearn]'
	@touch $@

# Plugins of backends are installed where the demo asks for one.
PLUGIN_rq := $(VENV)/.ready-rq
$(PLUGIN_rq): $(RUN) plugins/chariots_rq/pyproject.toml
	@$(PIP) --no-build-isolation --editable '.[redis]' --editable plugins/chariots_rq
	@touch $@

PLUGIN_dramatiq := $(VENV)/.ready-dramatiq
$(PLUGIN_dramatiq): $(RUN) plugins/chariots_dramatiq/pyproject.toml
	@$(PIP) --no-build-isolation --editable '.[redis]' --editable 'plugins/chariots_dramatiq[redis]'
	@touch $@

$(DEV): $(PY) $(SOURCES)
	@echo "setting up $(VENV) to develop Chariots"
	@$(PIP) hatchling
	@$(PIP) --no-build-isolation --editable '.[dev]' --editable 'plugins/chariots_ml[csv,dill,sklearn]' \
		--editable plugins/chariots_rq --editable 'plugins/chariots_dramatiq[rabbitmq,redis]'
	@touch $@ $(RUN)

$(BENCH): $(DEV)
	@echo "setting up $(VENV) to measure Chariots"
	@$(PIP) --no-build-isolation --editable '.[dev,bench]'
	@touch $@

demo: $(RUN) $(PLUGIN_$(BACKEND))
	@CHARIOTS_WORKER_POOL=$(BACKEND) $(PY) examples/iris/demo.py

# Tests that measure time or load come last, alone; there may be none (exit code 5).
test: $(DEV)
	@status=0; \
	$(PY) -m pytest -q -n $(JOBS) -m "not serial" $(PYTEST_ARGS) || status=$$?; \
	$(PY) -m pytest -q -m serial $(PYTEST_ARGS) || [ $$? -eq 5 ] || status=$$?; \
	exit $$status

test-fast: $(DEV)
	@$(PY) -m pytest -q -n $(JOBS) -m "not (slow or crash or acceptance or serial)" $(PYTEST_ARGS)

# RQ is laid over the environment, which keeps the newest one.
$(RQ2)/rq: $(DEV)
	@echo "setting up $(RQ2) with rq==$(RQ2_VERSION)"
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-deps --upgrade \
		--target $(RQ2) rq==$(RQ2_VERSION)
	@touch $@

test-rq2: $(RQ2)/rq
	@PYTHONPATH=$(RQ2) $(PY) -m pytest -q -n $(JOBS) --conformance-level basic $(PYTEST_ARGS) \
		plugins/chariots_rq

# The runs of the kit: a report for each, of the same name. Nothing runs beside them: the kit
# measures time and load.
REPORTS := build/conformance
RUNS := local-sqlite local-postgresql rq rq-2.12 dramatiq-redis dramatiq-rabbitmq
SUITE_local-sqlite := tests/conformance/test_local.py::TestLocalOnSQLite
SUITE_local-postgresql := tests/conformance/test_local.py::TestLocalOnPostgreSQL
SUITE_rq := plugins/chariots_rq/tests/test_conformance.py::TestRQ
SUITE_rq-2.12 := $(SUITE_rq)
SUITE_dramatiq-redis := plugins/chariots_dramatiq/tests/test_conformance.py::TestDramatiqOnRedis
SUITE_dramatiq-rabbitmq := plugins/chariots_dramatiq/tests/test_conformance.py::TestDramatiqOnRabbitMQ
LAID_rq-2.12 := $(RQ2):
RUN_KIT = echo "=== $(1)"; CHARIOTS_TEST_WHOLE_KIT=1 PYTHONPATH="$(LAID_$(1))$$PYTHONPATH" \
	$(PY) -m pytest -q --conformance-level $(LEVEL) --conformance-report $(REPORTS)/$(1).json \
	$(PYTEST_ARGS) $(SUITE_$(1)) || status=$$?;

conformance: $(DEV) $(RQ2)/rq
	@rm -rf $(REPORTS); status=0; \
	$(foreach run,$(RUNS),$(call RUN_KIT,$(run))) \
	$(PY) -m chariots_core.testing.conformance.table --into docs/reference/conformance.md \
		$(foreach run,$(RUNS),$(REPORTS)/$(run).json) || status=$$?; \
	exit $$status

soak: $(DEV)
	@status=0; \
	$(foreach run,$(filter-out local-postgresql rq-2.12,$(RUNS)),echo "=== $(run)"; \
		$(PY) -m pytest -q --conformance-soak --timeout 1500 $(PYTEST_ARGS) \
		$(SUITE_$(run))::test_67_random_kills_lose_and_double_nothing || status=$$?;) \
	exit $$status

lint: $(DEV)
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m ruff check --quiet .
	@$(PY) -m deptry --config pyproject.toml chariots_core chariots

types: $(DEV)
	@$(PY) -m mypy

docs: $(DEV)
	@$(PY) -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

check: lint types docs test

# Suites run one after the other, each against its floor in the same run.
bench: $(BENCH)
	@$(PY) -m benchmarks $(BENCH_ARGS)

format: $(DEV)
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format --quiet .

clean:
	@rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
