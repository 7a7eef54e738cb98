# Everything a newcomer needs: `make demo` and `make test`. Python 3.11 or later, git and make are enough.

UV_VERSION := 0.13.9
BIN := .venv/bin
UV := .venv-uv/bin/uv
SOURCES := tap_factorialhr tests scripts $(wildcard benchmarks)

# Only what is here already, and the package index: uv never fetches a Python of its own.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
export MELTANO_SEND_ANONYMOUS_USAGE_STATS := false
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format docs bench dagster build clean mutants prerelease

help: ## Show what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | sed 's/$$/ /' | tr '|' '\t'

install: .meltano/.installed ## Install the tap, Meltano and its plugins here

demo: .meltano/.installed ## Move a simulated company into a real PostgreSQL with Meltano
	@$(BIN)/python -m scripts.demo

test: lint .meltano/.installed .clients/.installed .wheels/.made ## Check style and types, and run all tests
	$(BIN)/pytest -n auto --dist loadgroup

prerelease: .meltano/.installed .clients/.installed .wheels/.made .prerelease/.installed ## Run the tests on the newest pre-release of singer-sdk
	.prerelease/venv/bin/pytest -n auto --dist loadgroup

lint: .venv/.installed ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)

format: .venv/.installed ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.installed ## Write the generated parts of the documents again
	$(BIN)/python -m scripts.streams_table
	$(BIN)/python -m scripts.data_dictionary

bench: .bench/.installed .meltano/.installed ## Measure, side by side with others (takes a while)
	@.bench/venv/bin/python -m benchmarks.run $(ARGS)

dagster: .venv-uv/.installed ## Check and test the example on Dagster, in environments of its own (takes minutes)
	@$(MAKE) --no-print-directory -C examples/dagster test

mutants: .mutants/.installed ## See which small breakages of the code the tests notice (takes a while)
	@mkdir -p mutants  # Python looks into no folder that was not there when it started
	@PYTHONPATH=$(CURDIR)/mutants HISTORIES=100 .mutants/venv/bin/mutmut run $(MUTANTS) > .mutants/log.txt 2>&1 || { tail -n 30 .mutants/log.txt; exit 1; }
	@.mutants/venv/bin/python -m scripts.mutants

build: .venv/.installed ## Build the wheel and the source archive into dist/
	$(UV) build

clean: ## Remove what was made here, but not your output and the state of your runs
	rm -rf .venv .venv-uv .wheels .prerelease .demo .bench .mutants mutants .clients dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf .meltano/.installed .meltano/extractors .meltano/loaders .meltano/run

.venv-uv/.installed: Makefile
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or later is needed; name it with make PYTHON=..." >&2; exit 1; fi; \
	echo "Using $$($$python --version) ($$python)"; \
	$$python -m venv --clear .venv-uv || { echo "$$python cannot make a virtual environment" \
	  "(on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.installed: .venv-uv/.installed pyproject.toml uv.lock
	@$(UV) sync --quiet --frozen --compile-bytecode --all-extras --python .venv-uv/bin/python
	@touch $@

.prerelease/.installed: .venv-uv/.installed pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.prerelease/venv $(UV) sync --quiet --frozen --compile-bytecode --all-extras --python .venv-uv/bin/python
	@$(UV) pip install --quiet --python .prerelease/venv/bin/python --prerelease allow --upgrade --compile-bytecode 'singer-sdk[msgspec]'
	@$(UV) pip list --quiet --python .prerelease/venv/bin/python | grep singer-sdk
	@touch $@

.bench/.installed: .venv-uv/.installed pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.bench/venv $(UV) sync --quiet --frozen --compile-bytecode --all-extras --group bench --python .venv-uv/bin/python
	@touch $@

.mutants/.installed: .venv-uv/.installed pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.mutants/venv $(UV) sync --quiet --frozen --all-extras --group mutants --python .venv-uv/bin/python
	@touch $@

.meltano/.installed: .venv/.installed meltano.yml
	@$(BIN)/meltano --log-level=warning install
	@$(BIN)/python -m compileall -q tap_factorialhr
	@touch $@

.clients/.installed: .venv/.installed scripts/environments.py
	@$(BIN)/python -m scripts.environments
	@touch $@

.wheels/.made: .venv/.installed meltano.yml pyproject.toml
	@$(BIN)/python -m scripts.wheels
	@touch $@
