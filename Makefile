# What there is to do with this repository. Every target works in a fresh clone; those that run
# containers want root, and as root install the Debian packages they miss.

SHELL := /bin/bash
CARGO ?= cargo
# Where cargo builds.
OUT := $(or $(CARGO_TARGET_DIR),target)
TARGET := $(shell uname -m)-unknown-linux-musl
RELEASE := $(OUT)/$(TARGET)/release/keel
# The size the release binary may have, in bytes.
LIMIT := 2000000

.PHONY: help build demo test release bench fuzz clean toolchain

help:
	@echo "make build    the keel command for everyday use: $(OUT)/debug/keel"
	@echo "make demo     builds keel and runs a container"
	@echo "make test     every check and test there is; ends with the totals"
	@echo "make release  the static keel command: $(RELEASE)"
	@echo "make bench    compares keel with runc, crun and the kernel's own cost"
	@echo "make fuzz     looks for profiles that break the compiler of filters, for FUZZ_SECONDS (60)"
	@echo "make clean    removes what was built"

toolchain:
	@command -v $(CARGO) >/dev/null || { echo "install Rust 1.90 or newer first (rustup)" >&2; exit 1; }
	@integration/install-packages gcc libc6-dev

build: toolchain
	$(CARGO) build -p runtime-cli

demo: build
	@integration/install-packages busybox-static
	@integration/demo $(OUT)/debug/keel

test: toolchain
	@integration/install-packages busybox-static util-linux
	@integration/install-packages --optional runc crun podman conmon netavark containerd docker.io \
		containernetworking-plugins \
		umoci skopeo buildah catatonit curl strace iproute2 uidmap keyutils zsh fish man-db groff-base \
		qemu-system-x86 e2fsprogs mmdebstrap xz-utils python3-seccomp
	@$(CARGO) run -q -p integration --bin suite

# musl, because glibc's start-up alone costs more than most commands of keel: 68 CPUID
# instructions, each a trap on a virtual machine. Without its target a static glibc build serves.
release: toolchain
	@set -eu; \
	export RUSTFLAGS="-C relocation-model=static"; \
	export KEEL_COMMIT="$${KEEL_COMMIT:-$$(git rev-parse HEAD 2>/dev/null || echo unknown)}"; \
	if rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || \
	   rustup target add $(TARGET) 2>/dev/null; then \
		$(CARGO) build --release -p runtime-cli --target $(TARGET); \
	else \
		echo "no musl target for this toolchain: making a static glibc build, which starts slower" >&2; \
		gnu=$$(uname -m)-unknown-linux-gnu; \
		export RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static"; \
		$(CARGO) build --release -p runtime-cli --target $$gnu; \
		mkdir -p $(dir $(RELEASE)); \
		cp $(OUT)/$$gnu/release/keel $(RELEASE); \
	fi; \
	size=$$(stat -c %s $(RELEASE)); \
	echo "$(RELEASE): $$size bytes, at most $(LIMIT) are allowed"; \
	[ "$$size" -le $(LIMIT) ]

bench: release
	@integration/install-packages busybox-static gcc libc6-dev
	@integration/install-packages --optional runc crun strace musl-tools python3-seccomp
	@$(CARGO) run -q --release -p integration --bin bench -- --runtime $(RELEASE)
	@$(CARGO) bench -q -p libcontainer --bench seccomp

# What cargo-fuzz does, without a nightly toolchain: coverage for libFuzzer is an option of LLVM.
# What is found goes to $(OUT)/fuzz; what adds to the corpus is copied by hand (libFuzzer's -merge=1).
FUZZ_SECONDS ?= 60
fuzz: toolchain
	@integration/install-packages g++
	@set -eu; \
	out=$(abspath $(OUT))/fuzz; \
	mkdir -p $$out/found; \
	cd libcontainer/fuzz; \
	export CARGO_TARGET_DIR=$$out; \
	export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module \
		-Cllvm-args=-sanitizer-coverage-level=4 \
		-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
		-Cllvm-args=-sanitizer-coverage-pc-table \
		-Cllvm-args=-sanitizer-coverage-trace-compares"; \
	$(CARGO) run --release --target $$(rustc -vV | sed -n 's/^host: //p') -- \
		$$out/found corpus/seccomp -artifact_prefix=$$out/ \
		-max_total_time=$(FUZZ_SECONDS) -max_len=200 -print_final_stats=1

clean:
	$(CARGO) clean
