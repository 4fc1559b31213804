# `make help` lists the targets. Set STRICT=1 to build with warnings as errors.

PREFIX ?= /usr/local
SIM_SEEDS ?= 0..<300
SIM_SECONDS ?= 240
CRASH_JSON ?= .build/crash.json
CRASH_STRIDE ?= 17
REPLICATION_SEEDS ?= 0..<1000
KILL_ROUNDS ?= 50
ROUNDS ?= 200
FEED_WRITES ?= 10000000
FEED_KILLS ?= 100
FEED_DIR ?= /var/tmp/engine-feed
CUTS ?= 200
FUZZ_SECONDS ?= 20
MUTANTS ?=
DEMO_FLAGS ?=
STRICT ?=

tools := enginectl enginedump enginebench enginenode
release := .build/release
swift_files := $(wildcard Package.swift Sources Tests Benchmarks)
strict_flags := $(if $(STRICT),-Xswiftc -warnings-as-errors \
	--explicit-target-dependency-import-check error)
build := swift build --quiet $(strict_flags)

.DEFAULT_GOAL := help
.PHONY: help bench test check demo sim crash replication-sim replication-kill kill power-cut fuzz mutants \
	mutants-check feed tsan lint format docs-check client-check release install clean setup
# SwiftPM runs on all cores by itself, and locks its scratch folder.
.NOTPARALLEL:

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

bench: setup ## builds for release and measures each ack point
	@$(build) -c release --product enginebench
	@$(release)/enginebench

# They wait for sockets in tasks: one at a time, as others leave no thread for that.
network_suites := (TransportTests|ReplicationTests)

test: setup ## builds and runs every test
	@$(build) --build-tests
	@swift test --skip-build --disable-xctest $(strict_flags) --skip '^$(network_suites)\.'
	@swift test --skip-build --disable-xctest $(strict_flags) --no-parallel \
		--filter '^$(network_suites)\.'

check: ## format lint, warnings as errors, every test: run it before a commit
	@$(MAKE) --no-print-directory STRICT=1 lint docs-check test

demo: setup ## imports real data, kills an import, compares every byte
	@$(build) -c release --product enginectl
	@Scripts/demo.sh $(DEMO_FLAGS)

sim: setup ## simulates crashes and faults from SIM_SEEDS, for SIM_SECONDS at most
	@$(build) -c release --product enginesim
	@$(release)/enginesim --seeds '$(SIM_SEEDS)' --seconds $(SIM_SECONDS)

crash: setup ## all simulations, CUTS real power cuts and kills; adds counts to CRASH_JSON
	@$(build) -c release --product enginesim
	@$(build) -c release --product replicationsim
	@$(release)/enginesim --seeds '$(SIM_SEEDS)' --seconds $(SIM_SECONDS) --json '$(CRASH_JSON)'
	@$(release)/enginesim --seeds '0..<5' --samples all --json '$(CRASH_JSON)'
	@$(release)/enginesim --seeds '0..<12' --operations 60 --errors $(CRASH_STRIDE) \
		--json '$(CRASH_JSON)'
	@$(release)/replicationsim --seeds '$(REPLICATION_SEEDS)' --seconds $(SIM_SECONDS) \
		--json '$(CRASH_JSON)'
	@CRASH_JSON='$(CRASH_JSON)' Scripts/power-cut.sh $(CUTS)
	@CRASH_JSON='$(CRASH_JSON)' Scripts/power-cut.sh --kill $(CUTS)

replication-sim: setup ## simulates leader and followers from REPLICATION_SEEDS
	@$(build) -c release --product replicationsim
	@$(release)/replicationsim --seeds '$(REPLICATION_SEEDS)' --seconds $(SIM_SECONDS)

replication-kill: setup ## kills, stops and cuts off nodes under load, ROUNDS times
	@$(build) -c release --product enginenode
	@$(build) -c release --product enginedrill
	@Scripts/replication-kill.sh $(ROUNDS)

kill: setup ## kills an importing enginectl, and busy writers, KILL_ROUNDS times each
	@$(build) -c release --product enginectl
	@$(build) -c release --product enginesim
	@Scripts/kill-test.sh $(KILL_ROUNDS)
	@Scripts/power-cut.sh --kill $(KILL_ROUNDS)

power-cut: setup ## shuts an ext4 image down CUTS times beside writers; needs root
	@$(build) -c release --product enginesim
	@Scripts/power-cut.sh $(CUTS)

# The last -sanitize counts, and SwiftPM's own puts libFuzzer's main function in.
fuzz: setup ## fuzzes each decoder for FUZZ_SECONDS
	@FUZZ=1 swift build --quiet -c release --product enginefuzz --scratch-path .build-fuzz \
		--sanitize fuzzer -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing
	@Scripts/fuzz.sh $(FUZZ_SECONDS)

mutants: setup ## breaks the engine on purpose, and sees that it is noticed; MUTANTS names some
	@Scripts/mutants.sh $(MUTANTS)

mutants-check: setup ## applies every mutant, and runs three of them
	@Scripts/mutants.sh --check

feed: setup ## FEED_WRITES to eight consumers, then FEED_KILLS of a process that consumes
	@$(build) -c release --product enginesim
	@rm -rf '$(FEED_DIR)' && mkdir -p '$(FEED_DIR)'
	@$(release)/enginesim --feed $(FEED_WRITES) --directory '$(FEED_DIR)/store'
	@$(release)/enginesim --feed-kill $(FEED_KILLS) --directory '$(FEED_DIR)/killed'
	@rm -rf '$(FEED_DIR)'

# The suites in which threads meet; the others would run for an hour and show the sanitizer nothing.
tsan_suites = (Feed|Slot|Follower|Delta|Tree|Engine|LowSpace|RunningBackup|MemoryIndexConcurrency
tsan_suites := $(tsan_suites)|ReadGate|ReadState|BlockCache|DirectoryLock|IndexedBatch)Tests/
tsan_network_suites := (Modes|Member[A-Za-z]*|JointWrite|Gathering|JobQueue|FeedJobs|Links|AskedLink|Inbox|Limit)Tests/

tsan: setup ## runs the tests in which threads meet under the thread sanitizer
	@swift build --quiet --build-tests --sanitize=thread --scratch-path .build-tsan
	@swift test --skip-build --disable-xctest --sanitize=thread --scratch-path .build-tsan \
		--filter 'StorageEngineTests\.$(tsan_suites)'
	@swift test --skip-build --disable-xctest --sanitize=thread --scratch-path .build-tsan \
		--no-parallel --filter '$(tsan_network_suites)'

lint: ## checks the format of every Swift file
	@swift format lint --strict --parallel --recursive $(swift_files)

format: ## formats every Swift file
	@swift format --in-place --parallel --recursive $(swift_files)

docs-check: ## checks the README's size, and what the documents point to
	@Scripts/check-docs.sh

client-check: setup ## builds a client that enables no trait
	@Scripts/check-client.sh

release: setup ## builds everything for release
	@$(build) -c release

install: setup ## installs the tools into PREFIX/bin
	@$(foreach tool,$(tools),$(build) -c release --product $(tool) &&) true
	@install -d '$(DESTDIR)$(PREFIX)/bin'
	@install $(addprefix $(release)/,$(tools)) '$(DESTDIR)$(PREFIX)/bin'

clean: ## removes what was built
	@rm -rf .build .build-*

setup: ## installs the system packages that the build needs
	@Scripts/setup.sh
