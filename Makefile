PYTHON ?= python3
VENV := .venv
# The tested versions; `make CONSTRAINTS= test` tries today's newest instead, in a new .venv.
CONSTRAINTS ?= constraints.txt
# Two installs, a stamp file each: what a learner needs, and that with what the tests, lint and the build need.
LEARNER := $(VENV)/.learner
DEVELOPER := $(VENV)/.developer
# Where the clone can be fetched from, such as https://github.com/NAME/w2s_lab: with it, the notebooks of the site get
# links to Colab, Kaggle and Binder (docs/web.md). Empty: none.
REPOSITORY ?=
# Two test workers with one thread each: with more they fight over the cores. Who has finished takes tests of the other.
# Compiled modules are kept, also where the machine asks Python not to: else every process of the tests compiles them anew.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest -q -n 2 --dist worksteal
# Jupyter wants to be told that being root, as in a container, is meant.
AS_ROOT = $(shell test "$$(id -u)" = 0 && echo --allow-root)

.DEFAULT_GOAL := help
.PHONY: help run lab demo notebooks site test test-fast lint clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(LEARNER) ## the weak-to-strong procedure, once, with a figure
	$(VENV)/bin/w2s-lab run

lab: $(LEARNER) ## your copies of the notebooks, in my_notebooks/, in the browser (this machine only)
	$(VENV)/bin/w2s-lab notebooks my_notebooks
	$(VENV)/bin/jupyter lab --ip=127.0.0.1 $(AS_ROOT) my_notebooks

demo: $(LEARNER) ## the menu of the demos for a class, in the browser (this machine only)
	$(VENV)/bin/w2s-lab demo

notebooks: $(DEVELOPER) ## build the notebooks from notebooks/src (only some: make notebooks ONLY="01 04")
	$(VENV)/bin/python -m w2s_lab.classroom.build $(ONLY)

site: $(DEVELOPER) ## the web site, in build/site; nothing runs, and any warning is an error
	W2S_LAB_REPOSITORY=$(REPOSITORY) $(VENV)/bin/python -m sphinx -q -W --keep-going -c docs/site . build/site
	@echo "Open build/site/index.html"

test: $(DEVELOPER) ## all tests
	$(PYTEST)

test-fast: $(DEVELOPER) ## the tests that take at most a second each
	$(PYTEST) -m "not slow"

lint: $(DEVELOPER) ## ruff, and the types of what users call
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean: ## remove caches and build files (runs/ and .venv stay)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage htmlcov
	find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# Made once, and again when the packages asked for change. The second holds the first.
$(LEARNER): EXTRAS :=
$(DEVELOPER): EXTRAS := [dev]
$(LEARNER) $(DEVELOPER): pyproject.toml requirements.txt $(CONSTRAINTS)
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No '$(PYTHON)' here: install Python 3.11 or newer, or say which one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1): make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv $(VENV)
	@rm -rf w2s_lab.egg-info  # an older install may have left it, and it would be read first
	@echo "Installing the packages into $(VENV): some minutes, the first time."
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check $(CONSTRAINTS:%=-c %) -e '.$(EXTRAS)'
	@touch $(LEARNER) $@
