# Everything a newcomer needs: `make demo`, `make test`. Set-up happens by itself, with uv where it is there.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test fast check coverage bench attacks docs lock clean

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) …"
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock && \
		uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: $(VENV)/.ready           ## A hub, six nodes, one study on real OMOP data. KEEP=1 leaves the grid running.
	@$(BIN)/civicgrid demo $(if $(KEEP),--keep)

test: $(VENV)/.ready check     ## Every check and every test, the fast ones first.
	$(BIN)/pytest tests -n auto --dist loadgroup -m "not slow" --durations=5
	$(BIN)/pytest tests -m slow --durations=5

check: $(VENV)/.ready          ## Lint, types, security lint.
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/bandit -q -r src -c pyproject.toml

fast: $(VENV)/.ready           ## The tests that take seconds.
	$(BIN)/pytest tests/unit tests/spec tests/generative -n auto -m "not slow"

coverage: $(VENV)/.ready       ## Which lines and branches the tests reach.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests -m "not slow"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

bench: $(VENV)/.ready          ## The benchmarks, side by side with peers; prints the tables of docs/benchmarks.md.
	$(BIN)/python -m benchmarks

attacks: $(VENV)/.ready        ## The table of attacks: rows recovered with each defence off, and as shipped.
	@cd tests && ../$(BIN)/python -m attacks

docs: $(VENV)/.ready           ## The documentation site, in docs/_build.
	$(BIN)/sphinx-build -q -W -b html docs docs/_build

lock:                          ## Renew requirements.lock. It records no address.
	uv pip compile pyproject.toml --all-extras --universal --generate-hashes --upgrade --no-header -q -o requirements.lock

clean:
	rm -rf $(VENV) docs/_build demo
