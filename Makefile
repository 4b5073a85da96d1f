# The two commands: `make run` and `make test`. Both make .venv and install what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes of one thread each: more threads than cores would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal
# All but the fine-tuned columns, which take half of the time.
QUICKLY := knn linear lowshot-1-frozen lowshot-10pct-frozen
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: run test quick lint readme throughput gpu clean

run: $(VENV)/installed
	$(BIN)/sslbench run --all --budget quick $(addprefix --protocol ,$(QUICKLY))
	$(BIN)/sslbench compare results results/reference --dataset digits --budget quick

test: lint
	$(PYTEST)

quick: $(VENV)/installed-dev
	$(PYTEST) -m "not slow"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

readme: $(VENV)/installed
	$(BIN)/python -m bench.maintenance.update_readme

# Alone on the machine, on all its cores or its GPU.
throughput: $(VENV)/installed-dev
	@mkdir -p build
	$(BIN)/python -m pytest tests/throughput --benchmark-only --benchmark-json build/throughput.json --quiet --no-header
	$(BIN)/python -m bench.maintenance.throughput keep build/throughput.json

# Measures what a GPU is wanted for, until the time is over: make gpu MINUTES=30
MINUTES ?= 30
gpu: $(VENV)/installed-dev
	$(BIN)/python -m bench.maintenance.gpu_session --minutes $(MINUTES)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sslbench needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
