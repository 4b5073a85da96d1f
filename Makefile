# Main targets: `make run` and `make test`. Both create .venv and install the dependencies once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes with one thread each: more threads than cores would slow each other down.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal
# The default protocols without fine-tuning, which takes half of the time.
QUICK_PROTOCOLS := knn linear lowshot-1-frozen lowshot-10pct-frozen
# One seed shows that everything runs; intervals of differences between methods need several: make run SEEDS=5
SEEDS ?= 1
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: run test quick lint readme throughput gpu clean

run: $(VENV)/installed
	$(BIN)/sslbench run --all --budget quick --seeds $(SEEDS) $(addprefix --protocol ,$(QUICK_PROTOCOLS))
	$(BIN)/sslbench compare results results/reference --dataset digits --budget quick
	$(BIN)/sslbench report --results results --results results/reference

test: lint
	$(PYTEST)

quick: $(VENV)/installed-dev
	$(PYTEST) -m "not slow"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

readme: $(VENV)/installed-dev
	$(BIN)/python -m bench.maintenance.update_readme
	$(BIN)/sslbench report --results results/reference
	$(BIN)/python -m bench.maintenance.screenshot

# Uses all cores, or the GPU: run nothing else on the machine at the same time.
throughput: $(VENV)/installed-dev
	@mkdir -p build
	$(BIN)/python -m pytest tests/throughput --benchmark-only --benchmark-json build/throughput.json --quiet --no-header
	$(BIN)/python -m bench.maintenance.throughput keep build/throughput.json

# All measurements that need a GPU, for at most this many minutes: make gpu MINUTES=30
MINUTES ?= 30
gpu: $(VENV)/installed-dev
	$(BIN)/python -m bench.maintenance.gpu_session --minutes $(MINUTES)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sslbench needs Python 3.11 or newer; choose one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
