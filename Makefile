# Every target installs what it needs first, and only what is missing.

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := radius handshake config control csv service hostapd eap eap-psk eap-tls certificate \
	stream proxy bundle discovery dynauth ubus

export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## The release binary, target/release/latchkey
	@.ci/setup compiler rust
	$(CARGO) build --release --locked

# One architecture name for each of the four programs: whether they fit.
ONE_NAME_EACH := aarch64_generic arm_cortex-a7 mipsel_24kc x86_64

# fmt and clippy come first because they are quick; nextest last, so that its summary ends the output.
.PHONY: test
test: rig ## Format, lints, and every test, the Wi-Fi rig included
	@.ci/setup packages rust nextest
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --doc --quiet
	@openwrt/build
	openwrt/pack $(ONE_NAME_EACH:%=--arch %) --out target/packages/checked
	$(MAKE) --no-print-directory luci-test
	$(CARGO) nextest run --locked

# What is measured is what is installed: cargo bench would build the program anew, with features that crates have for
# the benchmark, and put it into the same place.
.PHONY: bench
bench: ## latchkey beside FreeRADIUS, hostapd and radsecproxy; fails when a bound is missed
	@.ci/setup packages rust
	$(CARGO) build --release --locked
	@cp target/release/latchkey target/latchkey-measured
	LATCHKEY='$(CURDIR)/target/latchkey-measured' $(CARGO) bench --locked --bench compare
	@$(CARGO) build --release --locked --quiet

# The coverage flags are unstable; the bootstrap switch lets the stable toolchain take them. No sanitizer: the parsers
# are safe Rust, where it finds nothing and takes half the speed. What is found goes to corpus-work, so that the seeds
# stay as they were chosen.
.PHONY: fuzz
fuzz: $(FUZZ_TARGETS:%=fuzz-%) ## Every fuzz target for FUZZ_SECONDS (60) seconds each

.PHONY: $(FUZZ_TARGETS:%=fuzz-%)
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: fuzz-setup
	@mkdir -p fuzz/corpus-work/$* fuzz/corpus/$*
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $* fuzz/corpus-work/$* fuzz/corpus/$* -- \
		-max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=512 -max_len=70000 -print_final_stats=1

.PHONY: fuzz-setup
fuzz-setup:
	@.ci/setup packages rust fuzz

.PHONY: packages
packages: ## Packages for OpenWrt (.ipk, .apk) and Entware, target/packages; fails when they are too large
	@.ci/setup install python3 zopfli
	openwrt/build
	openwrt/pack --zopfli

# Fails above 10 MB with 1,000 devices.
.PHONY: memory
memory: ## What memory the daemon takes with 1,000 devices on 64-bit ARM (Debian's kernel in QEMU)
	@tests/memory/measure.sh

.PHONY: install
install: ## The built binary to DESTDIR and PREFIX (/usr)
	@test -x target/release/latchkey || { echo "There is no binary yet: run make build first" >&2; exit 1; }
	install -D -m 755 target/release/latchkey '$(DESTDIR)$(PREFIX)/sbin/latchkey'

.PHONY: clean
clean: ## Removes what was built, but not the downloaded rig (.cache/rig)
	$(CARGO) clean
	rm -rf fuzz/target fuzz/corpus-work fuzz/artifacts

# The targets of the simulated access point: rig, demo.
-include tests/rig/rig.mk
# The browser tests of the LuCI pages: luci-test.
-include tests/luci/luci.mk
