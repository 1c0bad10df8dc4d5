# SPDX-License-Identifier: Apache-2.0
# Thin: meson builds, scripts do. `make help` lists what there is.
SHELL := /bin/bash
PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
BUILD ?= build
DIST := $(BUILD)/dist

.PHONY: help all build run test bench kvm-shell install uninstall format clean

help:
	@echo "make run        make a Debian image and run it in a virtual machine of its own"
	@echo "make test       build with gcc and clang, run every test"
	@echo "make bench      measure start-up, exec, streams and memory beside runc and runsc, and under containerd"
	@echo "make kvm-shell  a prompt on a machine with KVM: this one, or an emulated one with this one's tree"
	@echo "make build      programs, guest kernel and initrd below $(DIST)"
	@echo "make install    below PREFIX ($(PREFIX)); honours DESTDIR. make uninstall removes it"
	@echo "make format     clang-format over the tree"

all: build

build:
	@scripts/deps build && scripts/deps kernel
	@scripts/build $(BUILD)

run:
	@scripts/deps run
	@scripts/build $(BUILD)
	@scripts/demo $(BUILD)

test:
	@scripts/deps test
	@scripts/build $(BUILD)
	@scripts/test $(BUILD)

bench:
	@scripts/deps bench
	@scripts/build $(BUILD)
	@tests/bench/run $(BUILD)
	@tests/bench/containerd $(BUILD)

kvm-shell:
	@scripts/deps test
	@PATH="$(CURDIR)/$(DIST)/bin:$$PATH" tests/kvm/run --shell "$${SHELL:-/bin/bash}"

install: build
	@scripts/install $(DIST) "$(DESTDIR)$(PREFIX)" "$(DESTDIR)$(SYSCONFDIR)"

uninstall:
	@scripts/install --remove "$(DESTDIR)$(PREFIX)" "$(DESTDIR)$(SYSCONFDIR)"

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
