# Every target sets up what it needs: CPython 3.11+ and a C++ compiler are all a machine must have.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: toolchains demo torch-free test test-slow check format pack-family train-family native-check \
	native-bench clean

NATIVE := $(wildcard native/*.h native/*.cc native/isa/*) native/CMakeLists.txt

# Builds the C++ runtime; PyTorch is not needed.
$(VENV)/.demo: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .
	touch $@

# torch is pinned to one release in constraints.txt, so that tests mean the same everywhere.
$(VENV)/.test: $(VENV)/.demo constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e '.[train,data,ray,test]'
	touch $@

demo: $(VENV)/.demo  ## complete and infill real code with the embedded model, offline
	@$(BIN)/quipu demo

torch-free: $(VENV)/.demo  ## all of inference in an environment of its own, without PyTorch
	$(PYTHON) tests/torch_free.py build/torch-free

# Needs root and Debian's packages; without it tests of missing languages are skipped.
toolchains: $(VENV)/.demo  ## compilers and runtimes of the languages that programs are judged in
	if [ -n "$$($(BIN)/quipu eval doctor --script)" ]; then \
		apt-get update -q && $(BIN)/quipu eval doctor --script | sh -e; \
	fi
	command -v bwrap > /dev/null || { apt-get update -q && apt-get install -y bubblewrap; }

test: $(VENV)/.test  ## the default suite
	$(BIN)/pytest

test-slow: $(VENV)/.test  ## what takes minutes or gigabytes
	$(BIN)/pytest -m slow

check: $(VENV)/.test  ## lint, format and types
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

# The corpus in pieces of at most 56 MB, the first of which alone is enough for a short run.
CORPUS ?= corpora/quipu-corpus-1
pack-family: $(VENV)/.test  ## the shipped corpus in pieces, for a machine that is lent for minutes
	$(BIN)/quipu data pack $(CORPUS) --to build/family/pieces --megabytes 56 \
		--share cpp=0.15 --share java=0.3 --share typescript=0.4

# For the Python of a machine with a CUDA device and PyTorch; nothing is installed or fetched.
# Run again it goes on; OUT gets the model in parts of 16 MiB, and the logs.
TRAIN_PYTHON ?= python3
MINUTES ?= 9
SIZE ?= 60m
OUT ?= build/family/out
train-family:  ## train the family in a slot of MINUTES: shards, all stages, evaluation, int8
	PYTHONPATH=src $(TRAIN_PYTHON) -m quipu_recipes.slot --pieces build/family/pieces/piece-* \
		--work build/family --out $(OUT) --size $(SIZE) --minutes $(MINUTES) $(SLOT)

# The kernels as users get them, then under the sanitisers: addresses and undefined behaviour, threads.
native-check:  ## build and test the C++ kernels (needs cmake and a C++20 compiler)
	for sanitize in "" address,undefined thread; do \
		build=build/native-$${sanitize:-release} && \
		cmake -S native -B $$build -DQUIPU_SANITIZE=$$sanitize && \
		cmake --build $$build && \
		ctest --test-dir $$build --output-on-failure || exit 1; \
	done

native-bench:  ## speed of the C++ kernels beside the machine's read bandwidth
	cmake -S native -B build/native-release -DQUIPU_SANITIZE=
	cmake --build build/native-release --target bench_kernels
	build/native-release/bench_kernels $(THREADS)

clean:
	rm -rf $(VENV) build dist src/*.egg-info
