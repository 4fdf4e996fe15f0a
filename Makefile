# `make help` lists the targets. Everything is installed into .venv, nothing outside it.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	&& { echo $$p; break; }; done)
REPO ?= .
UV = 0.13.9

RUN = .venv/bin/python -m
PIP = $(RUN) pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint types layering docs bench beside compare lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

setup: .venv/installed  ## install into .venv what the lock names

.venv/locked: requirements/lock.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed (set PYTHON=...)" >&2; exit 1; }
	@command -v git >/dev/null || { echo "git is needed" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) install --require-hashes -r requirements/lock.txt
	@touch $@

.venv/installed: .venv/locked pyproject.toml
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## index REPO (this checkout by default) and answer three questions
	@bash bench/demo.sh "$(REPO)"

test: setup  ## run the tests
	$(RUN) pytest -n auto --dist loadfile

lint: setup  ## check style and formatting
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: setup  ## check the types of the package
	$(RUN) mypy

layering: setup  ## check which module may import which
	$(RUN) pytest -q tests/test_layering.py

docs: setup  ## rewrite what docs/ has from the source, and the answers of its examples
	$(RUN) pytest -q tests/test_docs.py tests/test_reference.py --update-docs

bench: setup  ## measure against git on REPO, side by side
	$(RUN) bench.run "$(REPO)"

# What only a benchmark needs is no part of the lock.
.venv/bench: .venv/installed
	$(PIP) install $$(sed -n 's/^bench = \["\(.*\)"\]/\1/p' pyproject.toml)
	@touch $@

beside: .venv/bench  ## measure against ClickHouse and SQLite on REPO, side by side
	$(RUN) bench.beside "$(REPO)"

compare: setup  ## compare answers with those of git on REPO
	$(RUN) bench.compare "$(REPO)"

lock:  ## resolve pyproject.toml anew into requirements/lock.txt
	test -x .lock-tools/bin/uv || { $(PYTHON) -m venv .lock-tools && .lock-tools/bin/python -m pip install --quiet uv==$(UV); }
	{ echo '# Written by `make lock` from pyproject.toml; do not edit.'; \
	  .lock-tools/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	    --fork-strategy fewest --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    --upgrade --quiet; } > requirements/lock.new
	mv requirements/lock.new requirements/lock.txt

clean:  ## remove what make made
	rm -rf .venv .lock-tools .demo dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find govc_search tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
