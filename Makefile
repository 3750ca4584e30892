# make demo and make test set everything up by themselves; `make help` lists the targets.
.DEFAULT_GOAL := help
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test test-all check format docs lock bench clean help

$(INSTALLED): requirements.lock pyproject.toml scripts/install.sh
	@scripts/install.sh

install: $(INSTALLED)  ## set up .venv with the pinned packages

demo: $(INSTALLED)  ## run the main pipeline on real data, with embedded Spark and Delta
	@$(BIN)/sparkmine run conf/retail.yaml

test: $(INSTALLED)  ## run the tests
	@$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED)  ## run all tests, the slow ones too
	@$(BIN)/python -m pytest

check: $(INSTALLED)  ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(INSTALLED)  ## write docs/operators.md from the operators' docstrings
	@$(BIN)/python -m sparkmine.recipe.manual docs/operators.md

lock: $(INSTALLED)  ## resolve the pinned packages again (needs the network)
	@$(BIN)/uv lock --upgrade
	@$(BIN)/uv export --quiet --no-hashes --no-header --no-annotate --no-emit-project --all-extras > requirements.lock

bench: $(INSTALLED)  ## run the benchmarks
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean:  ## remove the environment, warehouses and caches
	rm -rf .venv warehouse build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
