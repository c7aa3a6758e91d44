# Two commands are all the set-up: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv

$(VENV)/.product: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev,peers]'
	@touch $@ $(VENV)/.product

demo: $(VENV)/.product  ## train a small network on real digits, look at it, write microtome-demo/index.html
	$(BIN)/microtome demo

test: $(VENV)/.dev  ## what needs the shared data, a browser or a peer is skipped without it, and says so
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.dev  ## all of CI: style, types, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadfile

bench: $(VENV)/.dev  ## every performance claim, ours and the peer in one process (slow; needs a quiet machine)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
