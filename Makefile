# My Own LLM. `make` alone lists what there is. For GNU make 3.81 (macOS) and later;
# README has the same steps for Windows without make.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS)
PYTEST = $(BIN)/python -X warn_default_encoding -W error::EncodingWarning -m pytest

# Tests run on all cores; ARGS=-n0 runs them one after the other, as a debugger needs it.
PARALLEL = --numprocesses auto --maxprocesses 4 --dist worksteal

# Versions that were tested together. `make setup CONSTRAINTS=` takes the newest ones that
# pyproject.toml allows instead.
CONSTRAINTS ?= constraints.txt
PINS = $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

# An index that has a CPU-only PyTorch: see "Linux without a GPU" in README. Only torch
# itself comes from there; what torch needs comes from where everything else does.
TORCH_INDEX ?=
TORCH_FROM = $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX))

# Any Python must be able to parse this line, in order to be told that it is too old.
CHECK_PYTHON = import platform, sys; v = sys.version_info; \
  mac = (platform.system(), platform.machine()) == ("Darwin", "x86_64"); \
  sys.exit("This is Python %d.%d; the course needs 3.11 or later. Install one, then say which: make PYTHON=python3.12 setup" % v[:2] if v < (3, 11) \
  else "This Python is for Intel Macs, and PyTorch makes nothing for them any more: see \"Intel Macs\" in README.md." if mac else 0)

# More for the program that a target runs: make test ARGS="-k tokenizer"
ARGS ?=

# What make bench reads: a text, or a name that llm_core knows.
DATA ?= shakespeare

.DEFAULT_GOAL := help
.PHONY: help setup lab book book-clean zip pdf epub test test-browser test-lab lint types quotes pretrained recordings bench mutants constraints clean

help: ## this list
	@echo "make lab reads and runs the course; every target sets up .venv first if need be."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' Makefile

setup: $(READY) ## create .venv and install everything (once, and after pyproject.toml changed)

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	@echo "Setting up $(VENV): a few minutes, and a download, the first time."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "  1 of 2: PyTorch"
	@$(PIP) $(TORCH_FROM) torch
	@echo "  2 of 2: JupyterLab, Jupyter Book, the test tools, and llm_core itself"
	@$(PIP) --editable '.[course,book,dev]'
	-@$(BIN)/jupyter labextension disable "@jupyterlab/apputils-extension:announcements" 2>/dev/null
	@touch $@
	@echo "$(VENV) is ready."

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/notebooks $(ARGS)

book: $(READY) ## execute the notebooks and build the book
	$(BIN)/python book/build.py

book-clean: $(READY) ## the same from nothing: every notebook is executed again
	$(BIN)/python book/build.py --clean

zip: book ## the book as a zip whose pages work from the disk
	$(BIN)/python book/offline zip

pdf: book ## the book on paper, printed by Chromium or Chrome
	$(BIN)/python book/offline pdf

epub: book ## the book for e-readers
	$(BIN)/python book/offline epub

test: lint types quotes ## run every check that needs no browser
	$(PYTEST) $(PARALLEL) $(ARGS)

test-browser: $(READY) ## look at the built pages in a real browser (after make book)
	$(PYTEST) $(PARALLEL) tests/browser $(ARGS)

test-lab: $(READY) ## open notebooks in a real JupyterLab and move their widgets
	$(PYTEST) tests/lab $(ARGS)

lint: $(READY) ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## check types
	$(BIN)/mypy

quotes: $(READY) ## check that the notebooks quote llm_core word for word
	$(BIN)/python -m llm_core.course.quote --check

pretrained: $(READY) ## train the models that ship with the package again (long)
	$(BIN)/python -m llm_core.course.pretrain

recordings: $(READY) ## make the recorded runs anew (long); ARGS=NAME for one of them
	$(BIN)/python -m llm_core.course.recordings $(ARGS)

bench: $(READY) ## measure us beside others and write benchmarks/RESULTS.md (20 minutes)
	$(BIN)/python benchmarks/run_all.py --data $(DATA) $(ARGS)

mutants: $(READY) ## count the small faults that tests notice: benchmarks/MUTANTS.md (30 minutes)
	$(BIN)/python benchmarks/mutation.py $(ARGS)

constraints: $(READY) ## look up the newest versions that pyproject.toml allows
	$(BIN)/python .ci/constraints.py

clean: ## remove what was built; .venv and your runs/ stay
	rm -rf _build book/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
