# Everything that is done to this project, as targets. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PROBLEM ?= flights
NIGHTS ?= 1
DATA ?=
ARGS ?=

export PYTHONPATH := $(CURDIR):$(CURDIR)/plugins
# a start without compiled bytecode takes three times as long
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
TEST = $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder
DEMO = $(BIN)/python -m ml.embedded demo --problem $(PROBLEM) --nights $(NIGHTS) $(if $(DATA),--data "$(DATA)") $(ARGS)

.PHONY: help setup setup-dev demo up down backup restore test test-all test-stack bench results screenshots check audit sbom format lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.setup ## make .venv with every dependency, pinned by hash (Python 3.11 to 3.13)

setup-dev: $(VENV)/.setup-dev ## the same, with what tests and checks need

demo: setup ## play nights of real history through the whole system [PROBLEM=flights NIGHTS=1 DATA=folder ARGS=--exit]
	@$(DEMO)

up: ## the full stack by Docker: secrets and images on first use, then wait for health [ARGS=--no-build]
	@python3 -m infra.compose up $(ARGS)

down: ## end what `make demo` left running, and the full stack; its volumes stay
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m ml.embedded down $(ARGS); fi
	@if [ -d secrets ]; then python3 -m infra.compose down; fi

backup: ## write databases, ledger, MLflow, store and secrets of the full stack into a folder [ARGS="--to folder"]
	@python3 -m infra.compose backup $(ARGS)

restore: ## fill an empty full stack from such a folder, and start it [BACKUP=folder]
	@python3 -m infra.compose restore $(BACKUP) $(ARGS)

test: setup-dev ## the tests that take no minutes [ARGS="-k name"]
	@$(TEST) -m "not slow and not stack" $(ARGS)

test-all: setup-dev ## every test that needs no container engine and no Terraform, with the scheduler, the browser and the faults
	@$(TEST) -m "not stack" $(ARGS)

test-stack: setup-dev ## the full stack in containers, Terraform against an emulator, alert rules by Prometheus itself
	@$(BIN)/python -m pytest -m stack $(ARGS)

bench: setup-dev ## measure speed and memory against their goals, on this machine (some minutes)
	@set -e; for one in benchmarks/*.py; do \
	  if grep -q '^def main' $$one; then $(BIN)/python -m benchmarks.$$(basename $$one .py); fi; done

results: setup-dev ## what models and retraining policies reach on real data: docs/results.md (some hours) [DATA=folder ARGS="--only NAME"]
	@$(BIN)/python -m benchmarks.results $(if $(DATA),--data "$(DATA)") $(ARGS)

screenshots: setup-dev ## take the README's pictures anew, from a real night in a real browser
	@EVERGREEN_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/e2e/test_pages.py -k "graph or card" $(ARGS)

check: setup-dev ## style, types and layers; changes nothing
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: setup-dev ## look for secrets in the history, unsafe code and unsafe workflows
	@# bandit looks at the parts of a line one by one, and warns of each part without a finding
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml ml plugins dags benchmarks 2> >(grep -v "nosec encountered" >&2)
	@$(BIN)/gitleaks git --no-banner --redact --log-level error .
	@$(BIN)/zizmor --offline --quiet --persona auditor .github/workflows
	@$(BIN)/shellcheck $$(git ls-files '*.sh' .ci)

sbom: setup-dev ## list all parts with their hashes, and their licences: build/sbom.json, build/sbom-serving.json, build/licences.csv
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible -o build/sbom.json
	@$(BIN)/cyclonedx-py requirements requirements-serving.txt --pyproject pyproject.toml --output-reproducible -o build/sbom-serving.json
	@$(BIN)/python -m tests.security.licences build/licences.csv

format: setup-dev ## mend style as far as that can be done by itself
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: setup ## pin what pyproject.toml asks for, by hash; versions that still fit stay [ARGS=--upgrade]
	@$(COMPILE) $(ARGS) pyproject.toml -o requirements.txt
	@$(COMPILE) $(ARGS) --group dev -c requirements.txt -o requirements-dev.txt
	@$(COMPILE) --group serving -c requirements.txt -o requirements-serving.txt
	@echo "requirements.txt, requirements-dev.txt and requirements-serving.txt are written; 'make setup' installs them"

$(BIN)/python:
	@set -e; \
	for name in python3.13 python3.12 python3.11 python3; do \
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	  then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 found. Install one, for example: apt install python3.11 python3.11-venv" >&2; exit 1; fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$found cannot make virtual environments. Install its module, on Debian: apt install python3-venv" >&2; exit 1; fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.uv-$(UV_VERSION): | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

$(VENV)/.setup: requirements.txt $(VENV)/.uv-$(UV_VERSION)
	@echo "installing the versions pinned in requirements.txt"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.setup-dev: requirements-dev.txt $(VENV)/.setup
	@echo "installing the versions pinned in requirements-dev.txt"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
