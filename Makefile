# `make demo` and `make test` do all the set-up they need: a virtual environment in .venv, made by
# uv from the hash-pinned requirements/*.txt. uv itself comes from pip, pinned as well.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .bootstrap/bin/uv
SHARED ?= ../shared
TEST_JOBS ?= 2
# --no-deps: the list is complete, and insightface's wish for plain onnxruntime must not be heard
# (requirements/overrides.txt).
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes

.PHONY: demo test test-cluster faults lint lint-page docs dist dist-test matrix venv browser requirements clean

demo: $(VENV)/.ready ## Restore a film the project makes itself
	$(BIN)/refrestore demo

test: $(VENV)/.ready $(VENV)/.gfpgan browser ## All tests
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

test-cluster: $(VENV)/.ready ## Three Ray nodes on this machine, random kills
	$(BIN)/python -m pytest tests/cluster -m cluster

# A full round, over an hour of two cores; for less: make faults FAULTS="--reduced" (see --help).
FAULTS ?= --scale 1.0 --json docs/reliability.json --markdown docs/reliability.md

faults: $(VENV)/.ready ## Kills, damage, full disks and attacks (docs/reliability.md)
	$(BIN)/python -m tests.faults $(FAULTS)

lint: $(VENV)/.ready ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Not part of lint: the page is served as it lies there, so nothing else here needs npm.
PAGE_TYPES := typescript@5.9.3 preact@11.2.0 @preact/signals@2.11.4 @preact/signals-core@1.14.5 htm@3.1.1

lint-page: ## Types of the review page
	npm install --prefix build/page --no-save --no-package-lock --silent $(PAGE_TYPES)
	build/page/node_modules/.bin/tsc --project refrestore/review/static

docs: $(VENV)/.ready ## The site in build/site; a link that leads nowhere is an error
	$(BIN)/python docs/site.py

# Equal, whenever and by whomever they are built.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)

dist: $(VENV)/.ready ## Wheel and source archive in dist, built twice and compared
	rm -rf dist build/again
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/python -m hatchling build -d dist
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/python -m hatchling build -d build/again
	diff -r dist build/again
	$(BIN)/twine check --strict dist/*

dist-test: dist ## The wheel in a clean environment outside the tree
	$(BIN)/python -m tests.stranger dist/*.whl

# Those that uv finds here or can bring; the others are named.
PYTHONS ?= 3.10 3.11 3.12 3.13 3.14

matrix: dist ## The same with every Python
	$(BIN)/python -m tests.stranger dist/*.whl --short --python $(PYTHONS) --json build/matrix.json

venv: $(VENV)/.ready ## The virtual environment

$(UV): requirements/bootstrap.txt
	$(PYTHON) -m pip install --quiet --upgrade --target .bootstrap --require-hashes -r $<
	@touch $@

$(VENV)/.ready: $(UV) requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(INSTALL) -r requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# The official package's own network, against which ours is tested. basicsr, which it needs, does
# not build on every Python; where it does not, that one test says so and is skipped.
$(VENV)/.gfpgan: $(VENV)/.ready requirements/gfpgan.txt
	-$(INSTALL) --no-build-isolation -r requirements/gfpgan.txt
	@touch $@

# The distribution's own where that can be installed, as it brings the libraries it needs. Without
# any, the browser tests say so: they are skipped, or fail where REFRESTORE_REQUIRE_SHARED=1.
browser: $(VENV)/.ready ## A Chromium for the browser tests
	@sh tests/browser/chromium.sh $(BIN)/playwright

requirements: $(UV) ## Pin anew
	$(UV) pip compile -q requirements/bootstrap.in --universal --python-version 3.10 --generate-hashes --no-header -o requirements/bootstrap.txt
	$(UV) pip compile -q pyproject.toml --extra gpu --universal --python-version 3.10 --generate-hashes --no-header --overrides requirements/overrides.txt -o requirements/run.txt
	$(UV) pip compile -q pyproject.toml --extra cpu --universal --python-version 3.10 --generate-hashes --no-header --overrides requirements/without-torch.txt -o requirements/cpu.txt
	$(UV) pip compile -q pyproject.toml --extra dev --extra gpu --universal --python-version 3.10 --generate-hashes --no-header --overrides requirements/overrides.txt -o requirements/dev.txt
	$(UV) pip compile -q requirements/gfpgan.in --no-deps --universal --python-version 3.10 --generate-hashes --no-header -o requirements/gfpgan.txt

clean: ## Everything that was made
	rm -rf $(VENV) .bootstrap build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
