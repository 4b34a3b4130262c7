# Everything runs in the project's own .venv; only python3 (3.11 or newer), pip and make have to be there.
#   make run      serve the example agents on http://127.0.0.1:3583
#   make test     lint, types, import contracts, and every test
#   make test-faults   the whole fault lab: 200 kills, 1,000 power losses, every crash point, ... (half an hour at most)
#   make test-mcp      MCP tools against the npm package server-everything too (needs node, npm and the network)
#   make test-evals    what docs/evals.md shows, with pydantic-evals
#   make bench    the benchmarks (python -m benchmarks list|run|compare)
# Another interpreter: make PYTHON=python3.12 venv

PYTHON ?= python3
WORKERS ?= 2

EVERYTHING ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flue-actors/server-everything

BIN := .venv/bin
READY := .venv/.ready

.PHONY: help venv run test test-faults test-mcp test-evals lint types bench clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,7s/^# *//p' Makefile

venv: $(READY)

# The stamp is older than pyproject.toml when the dependencies may have changed; otherwise nothing is asked of the network.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "flue-actors needs Python 3.11 or newer and $(PYTHON) is not: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) -m venv is missing. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing flue-actors and its development tools into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[virtual,mcp,openai]' --group dev
	@touch $@

run: $(READY)
	@cd examples && ../$(BIN)/flue-actors serve

test: $(READY)
	@$(BIN)/python -m pytest -q -n $(WORKERS)

test-faults: $(READY)
	@FAULTS=whole $(BIN)/python -m pytest -q -n $(WORKERS) --durations=10 -o faulthandler_timeout=0 tests/faults

test-mcp: $(READY)
	@command -v npm >/dev/null || { echo "make test-mcp needs node and npm." >&2; exit 1; }
	@npm install --silent --no-audit --no-fund --prefix '$(EVERYTHING)' @modelcontextprotocol/server-everything@2026.8.31
	@MCP_EVERYTHING='$(EVERYTHING)' $(BIN)/python -m pytest -q -n $(WORKERS) tests/mcp

test-evals: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group evals
	@$(BIN)/python -m pytest -q tests/testing/test_pages.py -k evaluation

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(READY)
	@$(BIN)/basedpyright

bench: $(READY)
	@$(BIN)/python -m benchmarks run

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
