# make demo   runs the workflow on test_data/ and prints what it found
# make test   runs the whole test suite
# make fuzz   tries INPUTS damaged inputs (100,000) on everything that is read, and prints what came of them
# make lint   checks style and types
# make lock   writes the locks anew from pyproject.toml
# make peers  installs MultiQC and umi_tools in .venv-peers, for the tests that hold us against them (1 GB)
# Each sets up .venv by itself; a second time it does so only when the lock or the project's metadata changed.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
CORES ?= 2
PYTEST_ARGS ?= -n $(CORES) --dist worksteal
INPUTS ?= 100000

BIN := $(abspath $(VENV))/bin
READY := $(VENV)/.installed
export PATH := $(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test fuzz lint lock peers clean
.DELETE_ON_ERROR:

demo: $(READY)
	snakemake --cores $(CORES) --configfile test_data/config.yaml > /dev/null
	@esr1call summary results/demo

test: $(READY)
	python -m pytest $(PYTEST_ARGS)

fuzz: $(READY)
	python -m tests.fuzz --inputs $(INPUTS)

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check workflow

peers: .venv-peers/.installed

.venv-peers/.installed: requirements-peers.lock
	"$(PYTHON)" -m venv .venv-peers
	@# umi_tools is built by a setuptools that still has pkg_resources; an isolated build would take the newest
	sed -n '/^setuptools==/,/[^\\]$$/p' $< > .venv-peers/build.lock
	.venv-peers/bin/python -m pip install --quiet --require-hashes -r .venv-peers/build.lock
	.venv-peers/bin/python -m pip install --quiet --require-hashes --no-build-isolation --use-pep517 -r $<
	@touch "$@"

$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	"$(PYTHON)" -m venv "$(VENV)"
	python -m pip install --quiet --require-hashes -r requirements.lock
	python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch "$@"

lock:
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip install --quiet 'uv>=0.5'
	build/lock/bin/uv pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --upgrade --output-file requirements.lock
	printf '%s\n' 'multiqc>=1.30,<2' 'umi_tools>=1.1.6,<2' 'setuptools<81' | \
		build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --upgrade --output-file requirements-peers.lock -
	@! grep -n '://' requirements.lock requirements-peers.lock

clean:
	rm -rf "$(VENV)" .venv-peers results .snakemake build
