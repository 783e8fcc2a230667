# `make demo` and `make test` set up what they need in .venv, with the versions of constraints.txt.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin

.PHONY: demo test test-spark kill hostile img2dataset check format clean

demo: $(VENV)/demo.ready
	$(RUN)/openalign run demo

# Files of tests are shared out over processes, those with the most slow tests first.
test: $(VENV)/dev.ready
	$(RUN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Needs Java 17; and Maven, unless OPENALIGN_SPARK_JOB_SERVER_JAR names Beam's job server for Spark 3.
BUILT_JAR := $(VENV)/job-server/spark-job-server.jar
SPARK_JAR := $(or $(OPENALIGN_SPARK_JOB_SERVER_JAR),$(BUILT_JAR))
test-spark: $(VENV)/spark.ready $(SPARK_JAR)
	OPENALIGN_SPARK_JOB_SERVER_JAR=$(SPARK_JAR) $(RUN)/pytest -m spark tests/spark

# Kills harvests at random moments and compares bytes: make kill ROUNDS=100 SEED=0
ROUNDS ?= 100
SEED ?= 0
kill: $(VENV)/dev.ready
	PYTHONPATH=tests:tests/ingest $(RUN)/python tests/ingest/kill_rounds.py --rounds $(ROUNDS) --seed $(SEED)

# Kills fetches of the hostile web: make hostile ROUNDS=100 ADDRESSES=100000 SEED=0
ADDRESSES ?= 100000
hostile: $(VENV)/dev.ready
	PYTHONPATH=tests:tests/ingest $(RUN)/python tests/ingest/hostile_rounds.py --rounds $(ROUNDS) \
	  --addresses $(ADDRESSES) --seed $(SEED)

# `fetch.engine: img2dataset`. Its pins and those of the other environment exclude each other.
IMG2DATASET := .venv-img2dataset
img2dataset: $(IMG2DATASET)/img2dataset.ready

$(IMG2DATASET)/img2dataset.ready: constraints-img2dataset.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "error: img2dataset needs Python 3.11 or 3.12; name one with PYTHON=..." >&2; exit 2; }
	@if command -v uv >/dev/null; then uv venv --quiet --clear --python $(PYTHON) $(IMG2DATASET) && \
	  uv pip install --quiet --python $(IMG2DATASET)/bin/python -c $< img2dataset==1.47.0; \
	else $(PYTHON) -m venv --clear $(IMG2DATASET) && \
	  $(IMG2DATASET)/bin/python -m pip install --quiet -c $< img2dataset==1.47.0; fi
	@touch $@

$(BUILT_JAR): tests/spark/job-server/pom.xml
	mvn --batch-mode --quiet --file $< package -Doutput=$(abspath $(@D))

check: $(VENV)/dev.ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pyright
	$(RUN)/lint-imports

format: $(VENV)/dev.ready
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

clean:
	rm -rf $(VENV) $(IMG2DATASET) runs

# uv where present, else venv and pip. Debian and Ubuntu ship Python without ensurepip.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name another with PYTHON=..." >&2; exit 2; }
	@if command -v uv >/dev/null; then uv venv --quiet --seed --python $(PYTHON) $(VENV); \
	elif $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else echo "error: this Python has no ensurepip; install the package that brings it" \
	  "(Debian and Ubuntu: apt-get install python3-venv), or uv" >&2; exit 2; fi

$(VENV)/%.ready: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing openalign with its $* dependencies (once; about 3 GB to download, 8 GB on disk)" >&2
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(RUN)/python -c constraints.txt -e '.[$(EXTRAS_$*)]'; \
	else $(RUN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS_$*)]'; fi
	@touch $@

EXTRAS_demo := ingest,train,evaluate,demo
EXTRAS_dev  := dev
EXTRAS_spark := spark
