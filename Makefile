# Each target is a stage of ./ci, so that what a person types and what CI runs are the same lines.
.PHONY: setup demo goals test bench check nightly lock clean
.DEFAULT_GOAL := test

setup:   ## .venv with everything a developer needs, as the lock files pin it
	@./ci dev toolchains

demo:    ## the weather run: journaled, replayed, verified
	@./ci models demo

goals:   ## three agents with a goal each, offline; what they write, they write without asking
	@./ci goals examples

test:    ## the suite, in random order, warnings as errors; `make check` adds the thorough tests
	@./ci dev toolchains tests

bench:   ## the bars as ratios; one JSON line each
	@./ci dev peers bench

check:   ## what `./ci quick` checks, then slow tests, bench smoke and the wheel
	@./ci full

nightly: ## 100,000 committed modules with bytes changed: none may end a process
	@./ci dev nightly

lock:    ## compile the lock files again
	@./ci lock

clean:   ## remove everything that was made here
	@./ci clean
