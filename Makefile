# Every command prepares what it needs; each can be run again at any time.

STACK  ?= dev
FORMAT ?= dotenv
PYTHON ?= python3
ONLY   ?=
ROUNDS ?= 10

BIN   := .venv/bin
RUN   := $(BIN)/python -m tools
READY := .venv/.ready
DEV   := .venv/.dev
PARTS := unit engine faults migrate doctor docs

.PHONY: help up smoke env backup drill render down shell test lint bench

help: ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo "  STACK=name picks the stack (dev)"

up: $(READY) ## Provision the stack, prove it by the smoke suite, say how to use it
	@$(RUN) up --stack "$(STACK)"

smoke: $(READY) ## Check a stack that is up (JUNIT=file.xml, DISRUPTIVE=1 also restarts the server)
	@$(RUN) smoke --stack "$(STACK)" -- $(if $(JUNIT),--junitxml "$(JUNIT)") $(if $(DISRUPTIVE),--disruptive)

env: $(READY) ## Write a stack's URLs to a file and print its name (FORMAT=dotenv|shell|json|k8s, OUT=file)
	@$(RUN) env --stack "$(STACK)" --format "$(FORMAT)" $(if $(OUT),--out "$(OUT)")

backup: $(READY) ## Save the data into .valkey/<stack>/backups/<time> and print that folder
	@$(RUN) backup --stack "$(STACK)"

drill: $(READY) ## Load the newest backup beside what runs: its keys, the time it takes, its age
	@$(RUN) drill --stack "$(STACK)"

render: $(READY) ## A folder that needs no Pulumi (FOR=compose|native, OUT=folder, SET="memory=1gb topology=cluster")
	@$(RUN) render --for "$(FOR)" --out "$(OUT)" $(foreach pair,$(SET),--set "$(pair)")

down: $(READY) ## Take a stack down; its last state stays as an RDB file
	@$(RUN) down --stack "$(STACK)"

shell: $(READY) ## For eval: makes `pulumi` work by hand
	@$(RUN) shell

test: $(DEV) ## Run the tests (ONLY=unit|engine|faults|migrate|doctor|docs|docker, ROUNDS=n faults)
	@$(RUN) shell >/dev/null
	ROUNDS=$(ROUNDS) $(BIN)/python -m pytest $(addprefix tests/,$(or $(ONLY),$(PARTS)))

lint: $(DEV) ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## Measure (ONLY=up|queue|cache|docker|doctor|migrate); prints a table, writes build/bench/<name>.json
	@$(BIN)/python -m bench $(ONLY)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "error: Python 3.10 or newer is needed, found $$($(PYTHON) --version 2>&1) -> make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

$(READY): .venv/bin/python constraints.txt pyproject.toml client/pyproject.toml infra/requirements.txt
	cd infra && ../$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV): $(READY)
	cd infra && ../$(BIN)/python -m pip install --quiet --disable-pip-version-check -c ../constraints.txt -e '..[dev]'
	@touch $@
