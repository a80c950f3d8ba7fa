# `make book` and `make test` are the whole set-up: they need Python 3.11 or newer, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
PROFILE ?= quick

.PHONY: book class test lab lint bench zoo networks lock engine clean help
.DEFAULT_GOAL := help

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A half-made environment never looks ready: the mark is written last.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %d.%d. Set PYTHON=/path/to/python3." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "Installing the packages of requirements.lock into $(VENV) (once; a few minutes, 7 GB) ..."
	@PATH="$(BIN):$$PATH" uv pip sync --compile-bytecode --quiet --python $(BIN)/python --require-hashes --allow-empty-requirements requirements.lock
	@PATH="$(BIN):$$PATH" uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY)  ## run the chapters and build the book (PROFILE=smoke|quick|full|paper)
	@$(BIN)/fingerprints book --profile $(PROFILE)

class: $(READY)  ## make the teacher's kit of the built book: slides, lesson plans, student notebooks, PDF, zip
	@$(BIN)/fingerprints class --profile $(PROFILE)

test: $(READY)  ## run all tests
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadscope

lab: $(READY)  ## open the chapters in JupyterLab
	@$(BIN)/python -m fingerprintlib.book.lab_setup
	@OMP_WAIT_POLICY=passive $(BIN)/jupyter lab

lint: $(READY)  ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(READY)  ## time the library against plain references
	@$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-columns=min,median,rounds -s

zoo: $(READY)  ## train the generators in data/zoo again (hours on a CPU; goes on where it was stopped)
	@$(BIN)/fingerprints zoo train all

networks: $(READY)  ## train the networks in data/networks again (hours on a CPU; goes on where it was stopped)
	@$(BIN)/fingerprints book --profile full --yes
	@$(BIN)/fingerprints networks publish

lock:  ## write requirements.lock anew from pyproject.toml
	@uv pip compile --universal -p 3.11 --all-extras --generate-hashes --no-header --no-annotate --quiet pyproject.toml -o requirements.lock

engine:  ## take what runs networks in the reader's browser from npm again, as data/engine/package-lock.json pins it
	@cd data/engine && npm ci --ignore-scripts --silent
	@cd data/engine && cp node_modules/onnxruntime-web/dist/ort.wasm.min.js .
	@cd data/engine && cp node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs .
	@cd data/engine && gzip -9nc node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm > ort-wasm-simd-threaded.wasm.gz
	@cd data/engine && sha256sum ort.wasm.min.js *.mjs > SHA256SUMS
	@cd data/engine && gzip -dc *.wasm.gz | sha256sum | sed 's/-$$/ort-wasm-simd-threaded.wasm/' >> SHA256SUMS
	@rm -rf data/engine/node_modules

clean:  ## remove everything that a build made
	@rm -rf _build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
