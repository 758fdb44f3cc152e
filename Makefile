# The commands of the project. `make` alone lists them; ARGS="..." is passed on to run, test and bench.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

# The first Python that runs and is supported; choose another with `make install PYTHON=/path/to/python`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help install run test lint conf bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## create .venv and install the pinned requirements and qexp itself

$(STAMP): requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "qexp needs Python 3.11, 3.12 or 3.13: install one, or name it with PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Installing the pinned requirements into $(VENV); the first time this takes some minutes."
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

run: install ## train A2C on the simulated cloud and compare it with every heuristic
	$(BIN)/python -m qexp algo=a2c env.tasks=25 $(ARGS)

test: install ## run all tests, the slow ones too
	$(BIN)/python -m pytest -m "" -n 2 --dist loadfile $(ARGS)

lint: install ## check style, format, types and the option files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m qexp.config.files --check

conf: install ## write the option files under conf/ from the options' classes
	$(BIN)/python -m qexp.config.files

bench: install ## measure speed on this machine
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove caches and build products; environments and outputs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . \( -path ./$(VENV) -o -path './.venv-*' \) -prune -o -name __pycache__ -type d -exec rm -rf {} +
