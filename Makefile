# README's two commands are `make quickstart` and `make test`; `make help` lists the others.
PYTHON ?= python3.11
export PYTHON
BIN := .venv/bin

.DEFAULT_GOAL := help
QUICK := not slow and not gpu and not browser and not extras
.PHONY: help env quickstart test test-slow test-browser test-extras coverage lint format docs docs-serve retrain lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

env: ## build .venv from requirements/lock.txt (a no-op when nothing changed)
	@bash tools/dev/make_env.sh

quickstart: env ## synthetic world, short training, zero-shot test, demo: the whole way in minutes
	@$(BIN)/python tools/quickstart.py

test: env ## the tests that take seconds
	$(BIN)/python -m pytest -m '$(QUICK)'

test-slow: env ## the tests that take minutes
	$(BIN)/python -m pytest -m 'slow and not gpu and not browser'

test-browser: env ## the tests of pages in headless Chromium (Debian: apt-get install chromium chromium-driver)
	$(BIN)/python -m pytest -m 'browser and not gpu'

test-extras: env ## the tests of bitsandbytes, which is put beside .venv's packages and not among them
	@[ -d .venv/extras/bitsandbytes ] || $(BIN)/python -m pip install --quiet --no-deps --target .venv/extras bitsandbytes==0.50.2
	PYTHONPATH=.venv/extras $(BIN)/python -m pytest -m extras

coverage: env ## the quick tests with coverage of lavida_mm; fails below 90 %
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m '$(QUICK)'
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: env ## ruff, mypy, codespell: what pre-commit and CI run
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell

format: env ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: env ## build the guide into site/, warnings as errors
	$(BIN)/mkdocs build --strict

docs-serve: env ## show the guide at http://127.0.0.1:8000 while you write
	$(BIN)/mkdocs serve

retrain: env ## train the shipped checkpoint again from scratch (a quarter of an hour)
	$(BIN)/python tools/retrain_tiny.py --seed 1

lock: env ## write requirements/lock.txt from what is installed in .venv
	$(BIN)/python tools/dev/update_lock.py

clean: ## remove what commands wrote, but for .venv and data/
	rm -rf work_dirs site build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
