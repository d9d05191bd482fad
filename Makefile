# Two commands: `make repro` renders, inverts, measures and reports; `make test` runs the tests.
# Both set up .venv first, once; a change of pyproject.toml or constraints.txt sets it up again.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# One thread a process: the suite works in several processes, and threads on top only fight for the cores.
export OMP_NUM_THREADS ?= 1
# Stages call `reinvert`, so the environment's programs come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup repro reference ablations retrain test conformance benchmark lint

help:
	@echo "make repro         render, invert, measure, report (22 minutes of two cores the first time)"
	@echo "make reference     the same at full scale, into reports/reference (hours on a CPU)"
	@echo "make ablations     train and measure the papers' ablations anew, then report (1.6 core hours a domain)"
	@echo "make retrain       train every network anew, then the same (hours on a CPU)"
	@echo "make test          run the tests"
	@echo "make conformance   compare every published network with the official code's outputs (minutes)"
	@echo "make benchmark     how fast it is here, the published networks at full size among it (minutes)"
	@echo "make lint          ruff and mypy"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "reinvert needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv (a few minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# First what was learnt is fetched from dvc-remote/, the folder of this repository that holds it, in one go; what is not
# there is made. `dvc repro --pull` would ask stage by stage, in minutes, and warn about every picture and score that is
# made here and was never meant to be fetched.
LEARNT := train-generator train-judge train-method label-samples directions
fetch = $(BIN)/dvc pull --quiet --allow-missing $(LEARNT) || echo "Not everything could be fetched; the rest is made here."; \
	$(BIN)/dvc repro --quiet $(LEARNT)

# DVC runs one stage after another, each in a process of its own, and spends seconds around each. So the runs of a graph
# (1) that are out of date are measured by one process per core (2: how), and DVC takes down all of them at once. That
# holds because nothing is left: `inspect` reads what `evaluate` leaves, so DVC can say only after that which are stale.
STALE := sed -n -E "s/^Running stage '.*:evaluate@(.*)':$$/\1/p; s/^Running stage '.*:((editability|inspect)@.*)':$$/\1/p"
define measure
@set -e; for wanted in "$(1):evaluate $(1):editability" "$(1):evaluate $(1):editability $(1):inspect"; do \
	plan=$$($(BIN)/dvc repro --dry $$wanted); \
	stale=$$(echo "$$plan" | $(STALE)); \
	test -z "$$stale" || $(BIN)/reinvert ahead $(2) $$stale; \
done; \
test -z "$$stale" || $(BIN)/dvc commit --force --quiet $$wanted
endef

repro: $(STAMP)
	@$(fetch)
	@$(BIN)/dvc repro --quiet render-test cells
	$(call measure,pipelines/scores/dvc.yaml,)
	@$(BIN)/dvc repro
	@echo
	@echo "The report: $(CURDIR)/reports/report.pdf"
	@echo "            $(CURDIR)/reports/report.md"

# Every cell at the scale `reference` of params.yaml, those aside that were measured before, here or in the commit. Commit
# pipelines/reference/dvc.lock, reference/, reports/reference/ and dvc-remote/ with it; `reinvert check` holds later
# changes against reports/reference/baseline.json.
REFERENCE := pipelines/reference/dvc.yaml
reference: $(STAMP)
	@$(fetch)
	@$(BIN)/dvc repro --quiet render-test cells
	@$(BIN)/dvc pull --quiet --allow-missing $(REFERENCE)
	$(call measure,$(REFERENCE),--scale reference --results reference)
	@$(BIN)/dvc repro $(REFERENCE)
	@$(BIN)/dvc push --quiet $(REFERENCE)
	@echo
	@echo "The report: $(CURDIR)/reports/reference/report.pdf"

# Every variant of pipelines/ablations/params.yaml on the ablations' own, equal budget; it resumes where it was stopped.
# Commit pipelines/ablations/dvc.lock and results/ablations with it.
ablations: $(STAMP)
	@$(fetch)
	@$(BIN)/dvc repro pipelines/ablations/dvc.yaml
	@$(BIN)/dvc repro report
	@echo
	@echo "The report: $(CURDIR)/reports/report.pdf"

# From nothing: without weights and unfinished work, every stage runs. After an interruption, `make repro` goes on.
retrain: $(STAMP)
	@rm -rf weights .cache/training
	@$(BIN)/dvc repro --force

test: $(STAMP)
	@$(BIN)/python -m pytest

# One network after another, each on all cores.
conformance: $(STAMP)
	@env -u OMP_NUM_THREADS $(BIN)/reinvert conformance tests/conformance

# `make test` leaves out what is marked full_size; an empty -m leaves out nothing. One thread a core at full size.
benchmark: $(STAMP)
	@env -u OMP_NUM_THREADS $(BIN)/python -m pytest tests/benchmarks -m "" --benchmark-only

lint: $(STAMP)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
