# medkit. Python 3.8 to 3.13, pip and make are enough.
#   make run     notebooks 01 to 05, from photos to an accepted submission, on a drawn contest
#   make run DATA=path/to/Dataset     the same on photos in the contest's layout
#   make run LANGUAGE=ko              the notebooks in Korean
#   make test    the tests, without the long ones; TESTS=tests/test_x.py runs one file
#   make zip     medkit.zip, what you upload to a server without a terminal
#   make check   style; then what is used nowhere, and names that break the glossary (a report)
#   make reference  docs/reference, from the docstrings
#   make mutate  which of 100 planted mistakes the tests do not see; half an hour
#   make soak    200 kills of a training run, each of which must not change a bit (KILLS=200)
#   make replay  30 hand-ins trained again, and 30 with one thing changed (REPLAYS=30)
# PYTHON=python3.8 takes another Python (its version decides the lane), VENV=folder another place.

PYTHON ?= python3
VENV ?= .venv
LANGUAGE = en# of the command line alone: desktops have a variable of this name
KILLS ?= 200
REPLAYS ?= 30
BESIDE := -n logical --maxprocesses 4 --dist loadfile
RUN := $(VENV)/bin/python
export NO_ALBUMENTATIONS_UPDATE = 1

.PHONY: help install run zip test slow soak replay mutate test-all check reference clean

help:
	@sed -n 's/^# //p' Makefile

install:
	@$(PYTHON) tools/install.py $(VENV)

run: install
	@$(RUN) tools/run_notebooks.py $(if $(DATA),--data "$(DATA)") --language $(LANGUAGE)

zip:
	@$(PYTHON) tools/make_zip.py medkit.zip

test: install
	@$(RUN) -m pytest -q -m "not slow" $(if $(TESTS),$(TESTS),$(BESIDE))

slow: install
	@$(RUN) -m pytest -q -m slow $(TESTS)

soak: install
	@$(RUN) tests/test_kills.py --kills $(KILLS)

replay: install
	@$(RUN) tests/handed_in.py --replays $(REPLAYS)

mutate: install
	@$(RUN) tools/mutate.py --jobs 2

test-all: install
	@$(RUN) -m pytest -q $(BESIDE)

check: install
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	-@$(RUN) tools/dead_code.py
	-@$(RUN) tools/words.py

reference: install
	@$(RUN) tools/reference.py

clean:
	rm -rf .venv .venv-py38 .pytest_cache .ruff_cache build dist medkit.zip *.egg-info
	find medkit tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
