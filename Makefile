# The few commands of this project. `make demo` and `make test` first say what is missing, with the fix.

SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
# nextest where it is installed: it runs the tests of all crates side by side.
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
TEST := $(if $(NEXTEST),cargo nextest run --no-fail-fast,cargo test --no-fail-fast)
# A daemon in which the tests can leave out one fsync: only there does the feature exist.
MUTANT := $(TARGET)/mutants/imgrepod

.PHONY: help demo two-people install uninstall test test-attacks test-autobahn fuzz fuzz-smoke bench \
	bench-window bench-peers torture setup mutant autobahn

help:
	@echo 'make demo      build, and show two people sharing images on this computer'
	@echo '               (IMAGES=dir: with images of yours; KEEP=1: leave it running)'
	@echo 'make two-people'
	@echo '               from nothing to a shared picture, on two virtual computers (as root)'
	@echo 'make install   build and install: programs, completions, manual pages, the window in the menu'
	@echo '               (PREFIX=/usr/local as root, else ~/.local; DESTDIR=; make uninstall)'
	@echo 'make test      all tests (installs what they need, as root or by sudo)'
	@echo 'make test-attacks'
	@echo '               attacks in full: guesses, crowds, hostile names, swapped links (as root)'
	@echo 'make test-autobahn'
	@echo '               every case of Autobahn, of the WebSocket protocol, on both sides of a link'
	@echo 'make fuzz-smoke'
	@echo '               random bytes to what reads the words of strangers, a minute each'
	@echo 'make fuzz      the same for longer (FUZZ_SECONDS=600 each)'
	@echo 'make torture   the long proofs, an hour: KILLS=1000, LINE_CUTS=1000, CUTS=300 of the power, each'
	@echo '               fsync left out in turn, and SEEDS=10000 simulated worlds'
	@echo 'make bench     figures, each beside its yardstick, to $(TARGET)/bench/'
	@echo 'make bench-peers'
	@echo '               the same work for dufs and copyparty, where they are installed, and for us'

demo:
	@scripts/check.sh demo
	@# Not quiet: the first build takes minutes, and whoever waits wants to see that it goes on.
	cargo build -p imgrepod -p imgctl
	@$(TARGET)/debug/imgctl demo

two-people:
	@scripts/check.sh demo
	cargo build -p imgrepod -p imgctl
	@scripts/two-people.sh

install uninstall:
	@scripts/install.sh $@

setup:
	@scripts/setup.sh
	@scripts/check.sh test

mutant: setup
	@# The same target directory, so that only this one crate is built twice.
	cargo build -p imgrepod --features mutants
	@mkdir -p $(dir $(MUTANT)) && cp $(TARGET)/debug/imgrepod $(MUTANT)

test: mutant
	scripts/check-ui.sh
	cargo build --workspace
	IMGREPO_MUTANT=$(abspath $(MUTANT)) $(TEST) --workspace
	cargo test --doc --workspace --quiet
	@[ "$$(id -u)" = 0 ] || echo '*** NOT PROVEN HERE: power cuts and full disks need root (loop devices, mounts): sudo -E make test'

torture: mutant
	cargo build
	$(MAKE) --no-print-directory test-autobahn
	@# One after the other: each is a proof by itself and wants the disk for itself.
	IMGREPO_KILLS=$(or $(KILLS),1000) cargo test -p imgrepod --test proofs kill:: -- --nocapture --skip queue_kill::
	IMGREPO_BACKUPS=$(or $(BACKUPS),30) cargo test -p imgrepod --test proofs backup:: -- --nocapture
	IMGREPO_CUTS=$(or $(LINE_CUTS),1000) cargo test -p imgrepod --test proofs cuts:: -- --nocapture
	IMGREPO_KILLS=$(or $(QUEUE_KILLS),200) IMGREPO_POWER_CUTS=$(or $(QUEUE_CUTS),50) \
		cargo test -p imgrepod --test proofs queue_kill:: -- --nocapture --test-threads=1
	cargo test -p imgrepod --test proofs half_open:: -- --nocapture --ignored --test-threads=1
	cargo test -p imgrepod --test proofs behind_proxy:: -- --nocapture --ignored
	IMGREPO_MUTANT=$(abspath $(MUTANT)) IMGREPO_MUTANTS=all IMGREPO_POWER_CUTS=$(or $(CUTS),300) \
		cargo test -p imgrepod --test proofs power_cut:: -- --nocapture --test-threads=1
	IMGREPO_SEEDS=$(or $(SEEDS),10000) cargo test -p imgrepod --features mutants --test simulation \
		-- --nocapture --test-threads=1
	IMGREPO_FILES=$(or $(FILES),100000) IMGREPO_SWAPS=$(or $(SWAPS),100000) \
		cargo test -p imgrepod --test watch -- --nocapture --test-threads=1

# In full what `make test` tries in small.
ATTACKS := IMGREPO_TRIES=$(or $(TRIES),10000) IMGREPO_SAMPLES=$(or $(SAMPLES),3000) \
	IMGREPO_CROWD=$(or $(CROWD),10000) IMGREPO_NAMES=$(or $(NAMES),50000) \
	IMGREPO_SWAPS=$(or $(SWAPS),100000) IMGREPO_LIES=100

test-attacks:
	cargo build
	@# One after the other: some count time, and all count on thousands of sockets.
	$(ATTACKS) cargo test -p imgrepod --test attacks -- --nocapture --test-threads=1
	$(ATTACKS) cargo test -p imgctl --test hostile -- --nocapture --test-threads=1
	cargo test -p imgrepod --test server -- browser people tls hostile http
	cargo test -p imgrepod --test repository people
	cargo test -p imgctl --test secrets
	@[ "$$(id -u)" = 0 ] || echo '*** NOT PROVEN HERE: another user at the control socket needs root: sudo -E make test-attacks'

# kosoku, which has Autobahn's cases, in a venv of its own.
autobahn:
	@scripts/setup.sh autobahn

test-autobahn: autobahn
	IMGREPO_CASES=all cargo test -p imgrepod --test autobahn -- --nocapture --test-threads=1

fuzz:
	scripts/fuzz.sh $(or $(FUZZ_SECONDS),600)

fuzz-smoke:
	scripts/fuzz.sh 60

bench:
	@scripts/check.sh demo
	@# It builds the daemon too: a build before it would be made with other features, and for nothing.
	@[ -n "$(ONLY)" ] && [ "$(ONLY)" != process ] || cargo build --release --quiet -p imgctl
	@[ "$(ONLY)" = window ] || cargo bench -p imgrepod --bench figures
	@[ -n "$(ONLY)" ] && [ "$(ONLY)" != window ] || $(MAKE) --no-print-directory bench-window

# Against dufs and copyparty, where they are; installing them is said, not done: a Rust build of minutes.
bench-peers:
	@scripts/check.sh demo
	cargo bench -p imgrepod --bench peers

bench-window:
	@if pkg-config --exists webkit2gtk-4.1 2>/dev/null && command -v Xvfb >/dev/null; then \
		cargo build --release --quiet -p imgrepod -p imgctl -p imgview && scripts/bench-window.sh && \
		cargo test --release --quiet -p imgview --test scenes next:: -- --ignored --nocapture --test-threads=1; \
	else echo '*** NOT MEASURED: the window, without WebKit and Xvfb: make setup'; fi
