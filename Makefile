# Needs Python 3.10 or newer, git and the network: no uv, no pip, no Docker, no root.
# Override any of these: make test PYTHON=python3.12 UV=/opt/uv VENV=/tmp/venv ARGS=-x
# Two workers keep two cores busy; a file's tests stay together, with their servers.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=

# What uv may do: use the Python and the certificates that are here, nothing else.
export UV
export UV_PROJECT_ENVIRONMENT ?= $(VENV)
export UV_PYTHON_DOWNLOADS ?= never
export UV_SYSTEM_CERTS ?= true
# Compiled once here, or by every process that starts.
export UV_COMPILE_BYTECODE ?= true
export PYTHONDONTWRITEBYTECODE =

# A build account may have no home.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.dativo/cache
endif

RUN = .dativo/uv run --frozen --no-sync
TOOL = .dativo/uv run --frozen --inexact --group

.DEFAULT_GOAL := help
.PHONY: demo test lint typing nox format generate clean help setup

demo: setup ## PostgreSQL and Stripe to Iceberg on this machine, in a minute
	@$(RUN) python -m dativo_sandbox.demo $(ARGS)

test: setup ## Everything: generated files, then all tests with branch coverage
	@$(RUN) python plugins/sync.py --check
	@$(RUN) python docs/generate.py --check
	@$(RUN) pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term --cov-report=xml:output/coverage.xml \
		--junit-xml=output/junit.xml $(ARGS)

lint: setup ## Rules and layout of the code
	@$(TOOL) lint ruff check $(ARGS)
	@$(TOOL) lint ruff format --check

typing: setup ## Types of the code
	@$(TOOL) nox nox --session typing

nox: setup ## Any session, such as: make nox ARGS='--session wheels'
	@$(TOOL) nox nox $(ARGS)

format: setup ## Lay out the code
	@$(TOOL) lint ruff check --fix-only
	@$(TOOL) lint ruff format

generate: setup ## Settings: from --about to READMEs, meltano.yml and plugins/
	@$(RUN) python plugins/sync.py
	@$(RUN) python docs/generate.py

clean: ## Forget the environment, the caches and all output
	rm -rf $(VENV) .dativo .coverage* .nox .*_cache dist output

help: ## This list
	@sed -nE 's/^([a-z]+):.*## (.*)/\1 \2/p' Makefile | while read -r target words; do \
		printf '%-10s %s\n' "$$target" "$$words"; done

setup: # Get uv into .dativo/ and the locked packages into .venv/
	@$(PYTHON) .ci/bootstrap.py
