# Every job that a developer or CI does. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := -m pip --disable-pip-version-check

FLOWER := .venv-flower

.DEFAULT_GOAL := help
.PHONY: help demo test natlab kills strangers flower check bench docs dist wheelhouse format lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(STAMP) ## two hospitals, end to end, on this machine
	@$(BIN)/comity demo

# The NAT lab comes last and by itself: its nodes race for a path, and other tests load the processors.
test: $(STAMP) ## all tests; those behind real NATs as root only
	$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --durations=10 --ignore=tests/natlab tests
	$(BIN)/python -m pytest --numprocesses=3 --dist=worksteal --durations=10 tests/natlab

natlab: $(STAMP) ## real NATs in full size, one after the other, to the second: as root, on an idle machine
	NATLAB_MIB=256 $(BIN)/python -m pytest --durations=10 tests/natlab

kills: $(STAMP) ## kill -9 of real daemons in 200 transfers, and of a rendezvous at 500 points under load
	COMITY_KILLS=200 $(BIN)/python -m pytest tests/integration/test_labs_kills.py
	COMITY_RENDEZVOUS_KILLS=500 $(BIN)/python -m pytest tests/integration/test_rendezvous_kills.py

strangers: $(STAMP) ## 10,000 strangers at the doors of a rendezvous: it takes as many open files (ulimit -n)
	COMITY_STRANGERS=10000 $(BIN)/python -m pytest tests/integration/test_rendezvous_strangers.py

check: $(STAMP) ## formatting, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src pilot/src tests
	cd examples/five_sites && ../../$(BIN)/mypy --strict .
	$(BIN)/lint-imports --no-logo

# Flower pins what we pin otherwise, so it gets an environment of its own.
flower: $(STAMP) $(FLOWER)/.installed ## a Flower app, unmodified, through forwards between three nodes
	FLOWER=$(abspath $(FLOWER))/bin $(BIN)/python -m pytest --durations=3 tests/integration/test_forward_flower.py

bench: $(STAMP) ## run every program in bench/
	@set -- bench/*.py; \
	if [ ! -e "$$1" ]; then echo "no programs in bench/ yet"; exit 0; fi; \
	echo "programs: $$*"; \
	for b in bench/*.py; do echo "== $$b"; $(BIN)/python "$$b" || exit 1; done

docs: $(STAMP) ## write the generated pages of docs/
	$(BIN)/python docs/generate_limits.py
	$(BIN)/python docs/generate_errors.py
	$(BIN)/python docs/generate_exchange.py
	$(BIN)/python docs/generate_charter_schema.py
	$(BIN)/python docs/generate_session.py
	$(BIN)/python docs/generate_sdk.py

dist: $(STAMP) ## build the sdists and the wheels into dist/
	@rm -f dist/comity-*.whl dist/comity-*.tar.gz dist/comity_pilot-*.whl dist/comity_pilot-*.tar.gz
	$(BIN)/python -m hatchling build
	cd pilot && $(abspath $(BIN))/python -m hatchling build -d ../dist

# For machines like this one: the same system, processor and version of Python.
wheelhouse: dist ## the wheel and all that it needs, for machines without internet
	@rm -rf dist/wheelhouse
	$(BIN)/python $(PIP) wheel --quiet -c constraints.txt -w dist/wheelhouse dist/comity-*.whl dist/comity_pilot-*.whl
	@echo "copy dist/wheelhouse, then: pip install --no-index --find-links wheelhouse comity"

format: $(STAMP) ## rewrite the sources the way `check` wants them
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Resolved anew in a clean environment, by the oldest Python that is supported: what installs there installs
# on the later ones.
lock: ## resolve pyproject.toml anew into constraints.txt (needs python3.11)
	@rm -rf build && mkdir build
	python3.11 -m venv build/lock
	build/lock/bin/python $(PIP) install --quiet -e '.[demo,dev]'
	@{ echo '# Exact versions of everything that `make` installs. Made by `make lock`; do not edit.'; \
	   build/lock/bin/python $(PIP) freeze --exclude comity; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build

clean: ## remove all that make and the tools have made
	rm -rf $(VENV) $(FLOWER) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): pyproject.toml pilot/pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing into $(VENV) (a minute or two the first time)"
	@$(BIN)/python $(PIP) install --quiet -c constraints.txt -e '.[demo,dev]' -e ./pilot
	@touch $@

$(FLOWER)/.installed: examples/flower/constraints.txt | $(BIN)/pip
	@echo "installing Flower into $(FLOWER)"
	@$(BIN)/python -m venv --without-pip $(FLOWER)
	@$(BIN)/python $(PIP) --python $(FLOWER)/bin/python install --quiet -c $< flwr scikit-learn
	@touch $@

# Debian splits ensurepip off into a package of its own. Its pip, if there, can do the same job.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Comity needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	@if $(PYTHON) -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --without-pip $(VENV) && \
	  $(PYTHON) $(PIP) --python $(BIN)/python install --quiet pip; \
	else \
	  echo "$(PYTHON) cannot make a virtual environment here; on Debian and Ubuntu install what it lacks:"; \
	  echo "  apt install python3-venv"; exit 1; \
	fi
