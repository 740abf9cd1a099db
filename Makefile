# Every command prepares what it needs; each can be run again at any time.

STACK  ?= dev
FORMAT ?= dotenv
PYTHON ?= python3
ONLY   ?=
ROUNDS ?= 10

BIN   := .venv/bin
RUN   := $(BIN)/python -m tools
REHEARSE = $(if $(DRY),--dry)
READY := .venv/.ready
DEV   := .venv/.dev
PARTS := unit engine cloud aws gcp faults migrate doctor clients examples docs

.PHONY: help up smoke env backup restore repair rotate failover upgrade scale card drill render down policy sdk shell test site lint bench

help: ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo "  STACK=name picks the stack (dev); DRY=1 rehearses up, restore, repair, rotate, failover, upgrade and scale"

up: $(READY) ## Provision the stack, prove it by the smoke suite, say how to use it
	@$(RUN) up --stack "$(STACK)" $(REHEARSE)

smoke: $(READY) ## Check a stack that is up (JUNIT=file.xml, DISRUPTIVE=1 also restarts the server, ACCEPT=1 accepts fewer keys)
	@$(RUN) smoke --stack "$(STACK)" $(if $(ACCEPT),--accept) -- $(if $(JUNIT),--junitxml "$(JUNIT)") $(if $(DISRUPTIVE),--disruptive)

env: $(READY) ## Write a stack's URLs to a file and print its name (FORMAT=dotenv|shell|json|k8s, OUT=file)
	@$(RUN) env --stack "$(STACK)" --format "$(FORMAT)" $(if $(OUT),--out "$(OUT)")

backup: $(READY) ## Save the data into .valkey/<stack>/backups/<time> and print that folder
	@$(RUN) backup --stack "$(STACK)"

restore: $(READY) ## A backup as a stack of its own (INTO=name, FROM=file or folder instead of the newest)
	@$(RUN) restore --stack "$(STACK)" --into "$(INTO)" $(if $(FROM),--from "$(FROM)") $(REHEARSE)

repair: $(READY) ## Repair a damaged node that has no healthy copy; keeps its files (NODE=node-0, FORCE=1 accepts the loss)
	@$(RUN) repair --stack "$(STACK)" --node "$(NODE)" $(if $(FORCE),--force) $(REHEARSE)

rotate: $(READY) ## New passwords beside the old; FINISH=1 ends the old ones
	@$(RUN) rotate --stack "$(STACK)" $(if $(FINISH),--finish) $(if $(FORCE),--force) $(REHEARSE)

failover: $(READY) ## Every primary hands over to a replica, and what that cost an application
	@$(RUN) failover --stack "$(STACK)" $(REHEARSE)

upgrade: $(READY) ## Another version of Valkey (TO=9.1)
	@$(RUN) upgrade --stack "$(STACK)" --to "$(TO)" $(REHEARSE)

scale: $(READY) ## MEMORY=1gb, SHARDS=n, REPLICAS=n
	@$(RUN) scale --stack "$(STACK)" --memory "$(MEMORY)" --shards "$(SHARDS)" --replicas "$(REPLICAS)" $(REHEARSE)

card: $(READY) ## A page for the team's wiki, without secrets
	@$(RUN) card --stack "$(STACK)"

drill: $(READY) ## Load the newest backup beside what runs: its keys, the time it takes, its age
	@$(RUN) drill --stack "$(STACK)"

render: $(READY) ## A folder that needs no Pulumi (FOR=compose|native, OUT=folder, SET="memory=1gb topology=cluster")
	@$(RUN) render --for "$(FOR)" --out "$(OUT)" $(foreach pair,$(SET),--set "$(pair)")

down: $(READY) ## Take a stack down; its last state stays as an RDB file
	@$(RUN) down --stack "$(STACK)"

sdk: $(READY) ## What a cloud's target needs beside (CLOUD=aws|gcp)
	cd infra && ../$(BIN)/python -m pip install --quiet --disable-pip-version-check -c ../constraints.txt -e '..[$(CLOUD)]'

shell: $(READY) ## For eval: makes `pulumi` work by hand
	@$(RUN) shell

test: $(DEV) ## Run the tests (ONLY=unit|engine|cloud|aws|gcp|faults|migrate|doctor|clients|examples|docs|docker|operations, ROUNDS=n faults, TLS=1 clients)
	@$(RUN) shell >/dev/null
	ROUNDS=$(ROUNDS) $(BIN)/python -m pytest --durations=15 --durations-min=10 $(if $(TLS),--tls) $(addprefix tests/,$(or $(ONLY),$(PARTS)))

site: $(DEV) ## docs/ as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo build/site/index.html

policy: $(READY) infra/policy/.venv/.ready ## What `up` would make, held against the policies of infra/policy
	@$(RUN) policy --stack "$(STACK)"

lint: $(DEV) ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## Measure (ONLY=up|queue|cache|docker|doctor|migrate|cloud); prints a table, writes build/bench/<name>.json
	@$(BIN)/python -m bench $(ONLY)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "error: Python 3.10 or newer is needed, found $$($(PYTHON) --version 2>&1) -> make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

$(READY): .venv/bin/python constraints.txt pyproject.toml client/pyproject.toml infra/requirements.txt
	cd infra && ../$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

infra/policy/.venv/.ready: infra/policy/requirements.txt
	$(PYTHON) -m venv infra/policy/.venv
	infra/policy/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(DEV): $(READY)
	cd infra && ../$(BIN)/python -m pip install --quiet --disable-pip-version-check -c ../constraints.txt -e '..[dev]'
	@touch $@
