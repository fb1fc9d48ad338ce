PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
DOCS_INSTALLED = $(VENV)/.installed-docs

.PHONY: help demo check test docs lint format install clean

help:
	@echo 'make demo   degrade a photograph, restore it, write demo.png'
	@echo 'make check  lint, types, fast tests and one restoration: under a minute'
	@echo 'make test   lint, types and all tests'
	@echo 'make docs   the documentation, into docs/_build/html; runs the examples, a few minutes'
	@echo 'make lint   lint and types only;  make format   apply the fixes of the linter'
	@echo 'make clean  remove the virtual environment and the caches'
	@echo 'Each creates $(VENV) at first; PYTHON=python3.12 chooses another interpreter.'

install: $(INSTALLED)

# A stamp, so that nothing is installed twice; written last, so that a broken installation is repeated. The folder
# adapters is newer than the stamp when an adapter was added.
$(INSTALLED): pyproject.toml adapters
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/daep demo -o demo.png --overwrite

# Formulas with known answers, the solvers, the plan of a call, the house rules, and one restoration by the command line.
FAST = tests/test_house.py tests/daep_prior/test_energy.py tests/daep_prior/test_solvers.py \
	tests/daep_prior/test_restoration.py tests/daep_prior/test_schedules.py tests/daep_deepinv/test_plan.py

check: lint
	$(BIN)/python -m pytest --quiet $(FAST)
	$(BIN)/daep demo -o $(VENV)/check.png --size 64 --overwrite

# A worker for each core; a file stays in one worker, so that its fixtures are made once.
test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

# the examples import the package that is installed, and are run again only when they have changed
docs: $(DOCS_INSTALLED)
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/_build docs/auto_examples
