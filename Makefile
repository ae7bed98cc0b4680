# SPDX-License-Identifier: LGPL-2.1-or-later
# Thin over meson: the words that people type.
BUILD ?= build
ASAN ?= build-asan
PREFIX ?= /usr/local

.PHONY: all build sanitize test unit scenarios commands faults fuzz interop bench demo install \
	format check clean

all: build

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# generated schema headers may already lie in $(BUILD): what counts is meson's own file
$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix $(PREFIX)

sanitize: $(ASAN)/build.ninja
	ninja -C $(ASAN)

$(ASAN)/build.ninja:
	meson setup $(ASAN) -Db_sanitize=address,undefined

test:
	tests/run

unit scenarios commands faults fuzz interop:
	tests/run --suite $@

check:
	tests/run --suite layers,format,errors-doc

bench: build
	bench/run

demo:
	demo/run

install: build
	ninja -C $(BUILD) install

clean:
	rm -rf $(BUILD) $(ASAN)
