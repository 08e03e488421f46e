# Every target sets up .venv by itself. PYTHON: the interpreter to make it from. ARGS: further arguments for pytest.
PYTHON ?= python3
BIN := .venv/bin
# Set on some machines; without bytecode every start would compile dowhy again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo dev test check lint types imports fmt clean ready-to-run ready-to-test

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ready-to-run ## one incident on real servers, from the alert to the postmortem (AUTO=1 approves by itself)
	@exec $(BIN)/stanch demo

dev: ready-to-run ## every process on embedded servers, in one terminal
	@exec $(BIN)/stanch dev

# Whole incidents need a machine to themselves; everything else runs on two cores side by side.
test: ready-to-test ## all tests, with real servers
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/acceptance
	$(BIN)/python -m pytest tests/acceptance
endif

check: lint types imports test ## lint, types, import contracts and tests

lint: ready-to-test ## ruff, its rules and its format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: ready-to-test ## mypy --strict
	$(BIN)/mypy

imports: ready-to-test ## who may import whom
	$(BIN)/lint-imports

fmt: ready-to-test ## format the code and repair what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove caches; .venv stays
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

ready-to-run:
	@$(PYTHON) bootstrap.py run

ready-to-test:
	@$(PYTHON) bootstrap.py test
