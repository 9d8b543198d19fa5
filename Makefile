# make run      set up, then train A3C on Pendulum with 4, 6 and 12 workers
# make run ARGS="env=pendulum workers=4"     set up, then run anything else
# make test     set up, then run the tests     (make test ARGS="-k returns" for some of them)
# make faults   set up, then inject faults into real runs for hours (make faults ARGS="--seed 1 --count 50")
# make cluster  set up, then interrupt sweeps on a real Slurm and a real Ray of this machine, and trainings on Ray (15 minutes)
# make cluster-faults   set up, then inject faults into sweeps on both for an hour (make cluster-faults ARGS="--seed 1 --count 20")
# make browser  set up, then look at the dashboard in a Chromium of this machine, with a run that trains and with 1,000 runs
# make lint     set up, then ruff (rules, format) and mypy
# make docs     set up, then build the documentation into build/docs; a warning or a broken link fails
# make check    lint, test and docs: the one command before a change is proposed
# make fuzz     set up, then 2,000 new random command lines, files, damaged run directories and spaces   (EXAMPLES=200 for fewer)
# make bench    set up, then the benchmarks    (make bench ARGS="--repeats 5")
# make sync     set up, then upload runs that were logged offline to Weights & Biases; needs `wandb login` once
# make setup    only set up: a virtual environment in .venv with the pinned versions of constraints.txt
# make clean    remove .venv and caches; never outputs/

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=

unexport PYTHONDONTWRITEBYTECODE
# Else each of the processes of `make test` rewrites the assertions of all files anew, for half of its start.

.DEFAULT_GOAL := help
.PHONY: help setup run test cluster cluster-faults browser faults fuzz lint docs check bench sync clean

help:
	@sed -n 's/^# \(make\)/  \1/p' Makefile

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "a3c_exp needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once; later calls skip this)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $(STAMP)

setup: $(STAMP)

run: $(STAMP)
	@$(BIN)/python -m a3c_exp $(if $(strip $(ARGS)),$(ARGS),env=pendulum workers=4$(comma)6$(comma)12 -m)

test: $(STAMP)
	@$(BIN)/python -m pytest $(or $(strip $(ARGS)),-n 3 --dist loadfile --no-loadscope-reorder)

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: $(STAMP)
	@$(BIN)/python -m sphinx -q -W --keep-going -j auto -b html -c docs . build/docs
	@echo "documentation: build/docs/index.html"

check: lint test docs

cluster-faults: $(STAMP)
	@$(BIN)/python -m tests.faults.cluster $(or $(strip $(ARGS)),--count 100 --out build/cluster_faults.md)

cluster: $(STAMP)
	@$(BIN)/python -m pytest -m cluster tests/sweep tests/parallelism $(ARGS)

browser: $(STAMP)
	@$(BIN)/python -m pytest -m browser tests/dashboard $(ARGS)

faults: $(STAMP)
	@$(BIN)/python -m tests.faults $(or $(strip $(ARGS)),--count 1000 --jobs 2 --out build/faults.md)

fuzz: $(STAMP)
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -n 2 --dist load tests/fuzz

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

sync: $(STAMP)
	@$(BIN)/python -m a3c_exp.runs sync $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist docs/api *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

comma := ,
