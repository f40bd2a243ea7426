# Penstock, a SOCKS5 gateway for Linux.  `make help` lists the targets.
#
# All output goes to $(BUILD)/FLAVOUR/.  A flavour is a set of compiler options:
#   release  what is installed            debug  assertions, used by `make test`
#   asan     address + undefined          tsan   thread
#   fuzz     clang's libFuzzer + address + undefined
#
# Variables: CXX, CPPFLAGS, CXXFLAGS, LDFLAGS and LDLIBS are appended to the project's own options.
#   BUILD=DIR   the output directory       WERROR=1  treat warnings as errors (CI=true does so too)
#   LTO=1       link-time optimisation     V=1       print whole commands
#   PREFIX=DIR, DESTDIR=DIR                ARGS=, TEST_ARGS=, BENCH_FLAGS=, TIME= as described in `make help`

BUILD ?= build
PREFIX ?= /usr/local
TIME ?= 60
FUZZ_CXX ?= clang++
CLANG_FORMAT ?= clang-format
INSTALL ?= install

FLAVOURS := release debug asan tsan fuzz

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# One job for each CPU, unless the caller gives -j (a sub-make already has a job server).
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
  MAKEFLAGS += -j$(shell nproc)
endif

Q := $(if $(V),,@)

# --- sources ----------------------------------------------------------------------------------

ROOMS        := $(sort $(notdir $(patsubst %/,%,$(wildcard src/*/))))
LIB_SRCS     := $(filter-out src/main.cc,$(sort $(wildcard src/*.cc src/*/*.cc)))
SUPPORT_SRCS := $(sort $(wildcard test/main.cc test/support/*.cc))
UNIT_SRCS    := $(sort $(foreach room,$(ROOMS),$(wildcard test/$(room)/*_test.cc)))
GATEWAY_SRCS := $(sort $(wildcard test/gateway/*_test.cc))
FUZZ_NAMES   := $(patsubst test/fuzz/%_fuzz.cc,%,$(sort $(wildcard test/fuzz/*_fuzz.cc)))
FORMAT_FILES := $(sort $(wildcard src/*.cc src/*/*.cc include/penstock/*.h include/penstock/*/*.h test/*.cc \
                  test/*/*.cc test/*/*.h scripts/*/*.cc scripts/*/*.h))
PAGE_FILES   := $(sort $(wildcard src/admin/page/*))
SUITES       := $(if $(GATEWAY_SRCS),gateway) $(if $(UNIT_SRCS),unit)

# A unit is a folder that is compiled as one file, because the headers of the standard library take most of the time: 27
# files of scenarios take 92 s to parse, and 8 s as one. So names in the anonymous namespaces of a folder must differ.
# Debug builds have units only in CI: whoever edits one file of a folder compiles that file alone.
UNIT_FLAVOURS := release asan tsan $(if $(filter 1 true yes,$(CI)),debug)
folders_of = $(sort $(patsubst %/,%,$(dir $(1))))
UNITS := $(call folders_of,$(wildcard src/*/*.cc) $(wildcard test/support/*.cc) $(UNIT_SRCS) $(GATEWAY_SRCS))

# `$(call compiled,FILES,UNITS)`: what FILES are compiled as: unit/FOLDER if UNITS has their folder, else obj/FILE.
compiled = $(addprefix unit/,$(filter $(2),$(call folders_of,$(1)))) $(patsubst %.cc,obj/%,$(filter-out $(2:=/%),$(1)))
# `$(call objects,FLAVOUR,FILES)`
objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(call compiled,$(2),$(if $(filter $(1),$(UNIT_FLAVOURS)),$(UNITS))))

# --- options ----------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast \
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wcast-qual -Wformat=2 -Wimplicit-fallthrough \
  -Wdouble-promotion -Wextra-semi -Wvla -Wno-missing-field-initializers
ifneq ($(filter 1 true yes,$(WERROR) $(if $(WERROR),,$(CI))),)
  ERRORS := -Werror
endif

COMMON_FLAGS := -std=c++20 -pthread $(WARNINGS)
HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
# -Og -g1 compiles in two thirds of the time of -O1 -g, with the same reports.
SANITIZER_FLAGS := -Og -g1 -fno-omit-frame-pointer -fno-optimize-sibling-calls

ifeq ($(LTO),1)
  IS_CLANG := $(findstring clang,$(shell $(CXX) --version))
  LTO_FLAGS := $(if $(IS_CLANG),-flto=thin,-flto=auto)
  release_AR := $(if $(IS_CLANG),llvm-ar,gcc-ar)
endif

release_FLAGS   := $(ERRORS) -O2 -g -DNDEBUG -fPIE -fno-plt $(HARDENING) $(LTO_FLAGS)
release_LDFLAGS := -pie -Wl,-z,relro,-z,now $(LTO_FLAGS)
debug_FLAGS     := $(ERRORS) -Og -g -fPIE -D_GLIBCXX_ASSERTIONS
debug_LDFLAGS   := -pie
# Without -Werror: with instrumentation compilers give false warnings.
asan_FLAGS      := $(SANITIZER_FLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all
asan_LDFLAGS    := -fsanitize=address,undefined
tsan_FLAGS      := $(SANITIZER_FLAGS) -fPIE -fsanitize=thread
tsan_LDFLAGS    := -pie -fsanitize=thread
fuzz_FLAGS      := $(SANITIZER_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz_LDFLAGS    := -fsanitize=fuzzer,address,undefined
fuzz_CXX        := $(FUZZ_CXX)

# The tests are not optimised: with their many checks, that would take several times as long to compile.
debug_TEST_FLAGS := -O0
asan_TEST_FLAGS  := -O0
tsan_TEST_FLAGS  := -O0

PENSTOCK_LDLIBS := -lresolv -lcrypt

# `$(call stamp,FILE,TEXT)` writes TEXT to FILE if it has changed; targets that depend on TEXT depend on FILE.
stamp = @mkdir -p $(dir $(1)); printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $(1) || \
  printf '%s\n' '$(subst ','\'',$(2))' > $(1)

# For the fuzz entry points, only the modules that they need are built. `$(call modules_of,FILES)`: the modules that
# FILES include. `$(call closure,MODULES)`: MODULES and all that they include, directly or not.
ifneq ($(filter fuzz%,$(MAKECMDGOALS)),)
modules_of = $(if $(1),$(shell sed -n 's|^.include "penstock/\(.*\)[.]h".*|\1|p' $(1) | sort -u))
closure = $(call widen,$(1),$(sort $(1) $(call modules_of,$(foreach m,$(1),$(wildcard src/$m.cc include/penstock/$m.h)))))
widen = $(if $(filter-out $(1),$(2)),$(call closure,$(2)),$(1))
fuzz_MODULES := $(call closure,$(call modules_of,$(FUZZ_NAMES:%=test/fuzz/%_fuzz.cc)))
fuzz_LIB_OBJS := $(patsubst %.cc,$(BUILD)/fuzz/obj/%.o,$(filter $(fuzz_MODULES:%=src/%.cc),$(LIB_SRCS)))
endif

# The thread sanitizer only runs the unit tests of rooms that start threads or are called by several.
tsan_UNIT_SRCS := $(sort $(foreach room,admin dns login os policy server,$(wildcard test/$(room)/*_test.cc)))
tsan_FUZZ_NAMES :=

$(BUILD)/unit/%.cc: FORCE
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(sort $(wildcard $*/*.cc)) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# --- rules of one flavour ---------------------------------------------------------------------

define FLAVOUR_RULES
$(1)_CXX ?= $$(CXX)
$(1)_AR ?= $$(AR)
$(1)_DIR := $$(BUILD)/$(1)
$(1)_COMPILE = $$($(1)_CXX) -Iinclude -I. $$(CPPFLAGS) $$(COMMON_FLAGS) $$($(1)_FLAGS) $$(TEST_FLAGS) $$(CXXFLAGS)
$(1)_LINK = $$($(1)_CXX) $$(COMMON_FLAGS) $$($(1)_FLAGS) $$(CXXFLAGS) -Wl,--as-needed $$($(1)_LDFLAGS) $$(LDFLAGS)
$(1)_LIB_OBJS ?= $$(call objects,$(1),$$(LIB_SRCS))
$(1)_SUPPORT_OBJS := $$(call objects,$(1),$$(SUPPORT_SRCS))
$(1)_UNIT_SRCS ?= $$(UNIT_SRCS)
$(1)_FUZZ_NAMES ?= $$(FUZZ_NAMES)
$(1)_UNIT_OBJS := $$(call objects,$(1),$$($(1)_UNIT_SRCS))
$(1)_GATEWAY_OBJS := $$(call objects,$(1),$$(GATEWAY_SRCS))

$$($(1)_DIR)/obj/%.o: %.cc $$($(1)_DIR)/flags
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  CXX  $(1) $$<')
	$$(Q)$$($(1)_COMPILE) -MMD -MP -MF $$(@:.o=.d) -c -o $$@ $$<

$$($(1)_DIR)/unit/%.o: $$(BUILD)/unit/%.cc $$($(1)_DIR)/flags
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  CXX  $(1) $$*/')
	$$(Q)$$($(1)_COMPILE) -MMD -MP -MF $$(@:.o=.d) -c -o $$@ $$<

# The object contains them.
$$($(1)_DIR)/obj/src/admin/page.o $$($(1)_DIR)/unit/src/admin.o: $$(PAGE_FILES)

$$($(1)_DIR)/obj/test/%.o $$($(1)_DIR)/unit/test/%.o: private TEST_FLAGS := $$($(1)_TEST_FLAGS)

# The archive is always rebuilt as a whole, also if the list of its members has changed. ar "q" keeps files of the
# same name in different rooms; "r" would replace one with the other.
$$($(1)_DIR)/libpenstock.a: $$($(1)_LIB_OBJS) $$($(1)_DIR)/members
	$$(Q)rm -f $$@
	$$(Q)$$($(1)_AR) qcs $$@ $$($(1)_LIB_OBJS)

$$($(1)_DIR)/penstock: $$($(1)_DIR)/obj/src/main.o $$($(1)_DIR)/libpenstock.a
	$$(if $$(Q),@echo '  LINK $$@')
	$$(Q)$$($(1)_LINK) -o $$@ $$^ $$(PENSTOCK_LDLIBS) $$(LDLIBS)

$$($(1)_DIR)/test/unit: $$($(1)_UNIT_OBJS) $$($(1)_SUPPORT_OBJS) $$($(1)_DIR)/libpenstock.a $$($(1)_DIR)/test-members
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  LINK $$@')
	$$(Q)$$($(1)_LINK) -o $$@ $$(filter %.o %.a,$$^) $$(PENSTOCK_LDLIBS) $$(LDLIBS)

$$($(1)_DIR)/test/gateway: $$($(1)_GATEWAY_OBJS) $$($(1)_SUPPORT_OBJS) $$($(1)_DIR)/libpenstock.a $$($(1)_DIR)/test-members
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  LINK $$@')
	$$(Q)$$($(1)_LINK) -o $$@ $$(filter %.o %.a,$$^) $$(PENSTOCK_LDLIBS) $$(LDLIBS)

# A fuzz entry point with an ordinary main() that replays files.
$$($(1)_DIR)/replay/%: $$($(1)_DIR)/obj/test/fuzz/%_fuzz.o $$($(1)_DIR)/obj/test/fuzz/replay.o $$($(1)_DIR)/libpenstock.a
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  LINK $$@')
	$$(Q)$$($(1)_LINK) -o $$@ $$^ $$(PENSTOCK_LDLIBS) $$(LDLIBS)

$$($(1)_DIR)/flags: FORCE
	$$(call stamp,$$@,$$($(1)_COMPILE) | $$($(1)_TEST_FLAGS) | $$($(1)_LINK) $$(PENSTOCK_LDLIBS) $$(LDLIBS))

$$($(1)_DIR)/members: FORCE
	$$(call stamp,$$@,$$($(1)_LIB_OBJS))

$$($(1)_DIR)/test-members: FORCE
	$$(call stamp,$$@,$$($(1)_UNIT_OBJS) $$($(1)_GATEWAY_OBJS) $$($(1)_SUPPORT_OBJS))

.PHONY: $(1)-tests
$(1)-tests: $$(SUITES:%=$$($(1)_DIR)/test/%) $$($(1)_FUZZ_NAMES:%=$$($(1)_DIR)/replay/%)
	@:

# scripts/bench.d is a folder, not a list of dependencies.
-include $$(filter-out %/bench.d,$$(wildcard $$($(1)_DIR)/unit/*/*.d $$($(1)_DIR)/obj/*/*.d $$($(1)_DIR)/obj/*/*/*.d))
endef

$(foreach flavour,$(FLAVOURS),$(eval $(call FLAVOUR_RULES,$(flavour))))

# All rooms above os/, and main, with a stub instead of os/. It is linked and never run.
STUB_OBJS := $(call objects,debug,$(filter-out src/os/%,$(LIB_SRCS)) src/main.cc test/stub/os.cc)
$(debug_DIR)/test/stub-link: $(STUB_OBJS) $(debug_DIR)/members
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LINK $@')
	$(Q)$(debug_LINK) -o $@ $(STUB_OBJS) -lresolv $(LDLIBS)

debug-tests: $(debug_DIR)/test/stub-link

# Keeps objects that only pattern rules build.
.SECONDARY:

.PHONY: FORCE
FORCE:

# --- programs ---------------------------------------------------------------------------------

.PHONY: all release debug run
all: release ## build the gateway (the same as `make release`)

release: $(BUILD)/release/penstock ## build build/release/penstock, optimised and hardened
	@:

debug: $(BUILD)/debug/penstock ## build build/debug/penstock, with assertions
	@:

run: ## build the gateway and start it on 127.0.0.1:1080 (ARGS= passes options)
	@CXX='$(CXX)' scripts/deps build
	@$(MAKE) --no-print-directory release
	$(BUILD)/release/penstock $(ARGS)

# Read by scripts/test.
export BUILD TEST_ARGS

# --- tests ------------------------------------------------------------------------------------

.PHONY: test asan tsan fuzz test-browser tests
test: ## install what the tests need and run them; ends with `N passed, N failed` (TEST_ARGS= to doctest)
	@CXX='$(CXX)' scripts/deps test
	@$(MAKE) --no-print-directory debug-tests release
	@scripts/test debug

asan: ## run the tests under the address and undefined behaviour sanitizers
	@CXX='$(CXX)' scripts/deps test
	@$(MAKE) --no-print-directory asan-tests asan-penstock
	@scripts/test asan

tsan: ## run the tests under the thread sanitizer, but for the unit tests of rooms without threads
	@CXX='$(CXX)' scripts/deps test
	@$(MAKE) --no-print-directory tsan-tests tsan-penstock
	@scripts/test tsan

test-browser: ## drive the live page in a headless Chromium; ends with `N passed, N failed`
	@CXX='$(CXX)' scripts/deps browser
	@$(MAKE) --no-print-directory release
	@PENSTOCK='$(abspath $(BUILD))/release/penstock' test/browser/page

tests: debug-tests ## build the test programs without running them

.PHONY: asan-penstock tsan-penstock
asan-penstock tsan-penstock: %-penstock: $(BUILD)/%/penstock
	@:

# --- fuzzing ----------------------------------------------------------------------------------

FUZZ_PROGRAMS := $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)

$(FUZZ_PROGRAMS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/test/fuzz/%_fuzz.o $(BUILD)/fuzz/libpenstock.a
	$(if $(Q),@echo '  LINK $@')
	$(Q)$(fuzz_LINK) -o $@ $^ $(PENSTOCK_LDLIBS) $(LDLIBS)

.PHONY: fuzz-programs $(FUZZ_NAMES:%=fuzz-run-%)
fuzz-programs: $(FUZZ_PROGRAMS)

fuzz: $(FUZZ_NAMES:%=fuzz-run-%) ## run each fuzz entry point for TIME=60 seconds; results go to build/fuzz/
	@test -n '$(FUZZ_NAMES)' || { echo 'There is no test/fuzz/*_fuzz.cc.' >&2; exit 1; }

# libFuzzer writes new inputs to the first directory and only reads the others.
$(FUZZ_NAMES:%=fuzz-run-%): fuzz-run-%: $(BUILD)/fuzz/%
	@mkdir -p $(BUILD)/fuzz/found/$* $(BUILD)/fuzz/crash $(BUILD)/fuzz/log
	@echo '  FUZZ $* for $(TIME) s'
	@$< -max_total_time=$(TIME) -timeout=10 -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/crash/$*- \
	    $(BUILD)/fuzz/found/$* $(wildcard test/fuzz/corpus/$*) >$(BUILD)/fuzz/log/$*.log 2>&1 </dev/null \
	  || { tail -n 60 $(BUILD)/fuzz/log/$*.log; echo "not ok fuzz $*: see $(BUILD)/fuzz/log/$*.log"; exit 1; }
	@awk '/number_of_executed_units/ { n = $$2 } END { print "ok fuzz $*: " n " inputs" }' $(BUILD)/fuzz/log/$*.log

# --- benchmarks -------------------------------------------------------------------------------

LOAD_PARTS := load target stream datagrams

$(BUILD)/bench/load: $(LOAD_PARTS:%=$(BUILD)/release/obj/scripts/bench.d/%.o)
$(BUILD)/bench/rules: $(BUILD)/release/obj/scripts/bench.d/rules.o $(BUILD)/release/libpenstock.a

# Programs that scripts/bench runs beside the gateways. It calls make for them.
$(BUILD)/bench/load $(BUILD)/bench/rules:
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LINK $@')
	$(Q)$(release_LINK) -o $@ $^ $(PENSTOCK_LDLIBS) $(LDLIBS)

.PHONY: bench
bench: ## measure against the peers; BASE=REV: against another revision (BENCH_FLAGS= goes to scripts/bench)
	@CXX='$(CXX)' scripts/deps bench
	@$(MAKE) --no-print-directory release
	@scripts/bench --penstock '$(BUILD)/release/penstock' $(if $(BASE),--base '$(BASE)') $(BENCH_FLAGS)

# --- source checks ----------------------------------------------------------------------------

.PHONY: format format-check lint stub-link floors
format: ## rewrite the sources with clang-format
	@$(CLANG_FORMAT) -i $(FORMAT_FILES)

format-check: ## fail if clang-format would change a source file
	@$(CLANG_FORMAT) --dry-run --Werror $(FORMAT_FILES)

lint: ## run clang-tidy on src/, shellcheck on scripts and mandoc on manual pages; a warning is an error
	@scripts/lint

# Only the syntax is checked, which gives all warnings. A stamp for each file skips those that have not changed.
CLANG_CHECKED := $(patsubst %,$(BUILD)/clang/%.ok,$(call compiled,$(LIB_SRCS) src/main.cc $(SUPPORT_SRCS) \
  $(UNIT_SRCS) $(GATEWAY_SRCS) $(FUZZ_NAMES:%=test/fuzz/%_fuzz.cc) \
  $(wildcard test/fuzz/replay.cc scripts/bench.d/*.cc),$(UNITS)))

.PHONY: clang-check
clang-check: $(CLANG_CHECKED) ## check with clang++ all that g++ builds; a warning is an error

define CHECK_WITH_CLANG
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CHECK $<')
	$(Q)$(FUZZ_CXX) -Iinclude -I. $(CPPFLAGS) $(COMMON_FLAGS) -Werror -fsyntax-only -MMD -MP -MF $(@:.ok=.d) -MT $@ $<
	@touch $@
endef

$(BUILD)/clang/obj/%.ok: %.cc ; $(CHECK_WITH_CLANG)
$(BUILD)/clang/unit/%.ok: $(BUILD)/unit/%.cc ; $(CHECK_WITH_CLANG)

-include $(filter-out %/bench.d,$(wildcard $(BUILD)/clang/*/*/*.d $(BUILD)/clang/*/*/*/*.d))

stub-link: $(debug_DIR)/test/stub-link ## link all rooms above os/ without it, and check which symbols they need
	@scripts/floors --objects $(debug_DIR)

floors: ## check rooms, floors and doors: which files may include which
	@scripts/floors

# --- installation -----------------------------------------------------------------------------

.PHONY: install uninstall deb clean help
MAN = $(DESTDIR)$(PREFIX)/share/man
DOC = $(DESTDIR)$(PREFIX)/share/doc/penstock
SYSTEMD = $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d
# Where each shell looks for completions; scripts/completions makes them.
BASH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
install: release ## install the gateway under PREFIX=/usr/local (DESTDIR= is put in front)
	$(INSTALL) -d '$(DESTDIR)$(PREFIX)/bin' '$(MAN)/man5' '$(MAN)/man8' '$(DOC)' '$(DESTDIR)$(PREFIX)/share/penstock' \
	  '$(SYSTEMD)' '$(SYSUSERS)' '$(BASH_COMPLETIONS)' '$(ZSH_COMPLETIONS)' '$(FISH_COMPLETIONS)'
	$(INSTALL) -m 755 $(BUILD)/release/penstock '$(DESTDIR)$(PREFIX)/bin/penstock'
	$(INSTALL) -m 644 scripts/penstock.conf '$(DESTDIR)$(PREFIX)/share/penstock/penstock.conf'
	$(INSTALL) -m 644 scripts/grafana/penstock.json '$(DOC)/grafana.json'
	$(INSTALL) -m 644 scripts/prometheus/alerts.yml '$(DOC)/alerts.yml'
	sed 's|/usr/local|$(PREFIX)|' scripts/penstock.8 >'$(MAN)/man8/penstock.8'
	sed 's|/usr/local|$(PREFIX)|' scripts/penstock.conf.5 >'$(MAN)/man5/penstock.conf.5'
	sed 's|/usr/local|$(PREFIX)|' scripts/systemd/penstock.service >'$(SYSTEMD)/penstock.service'
	$(INSTALL) -m 644 scripts/systemd/penstock.socket '$(SYSTEMD)/penstock.socket'
	$(INSTALL) -m 644 scripts/systemd/penstock.sysusers '$(SYSUSERS)/penstock.conf'
	scripts/completions bash $(BUILD)/release/penstock >'$(BASH_COMPLETIONS)/penstock'
	scripts/completions zsh $(BUILD)/release/penstock >'$(ZSH_COMPLETIONS)/_penstock'
	scripts/completions fish $(BUILD)/release/penstock >'$(FISH_COMPLETIONS)/penstock.fish'
	chmod 644 '$(MAN)/man8/penstock.8' '$(MAN)/man5/penstock.conf.5' '$(SYSTEMD)/penstock.service' \
	  '$(BASH_COMPLETIONS)/penstock' '$(ZSH_COMPLETIONS)/_penstock' '$(FISH_COMPLETIONS)/penstock.fish'

uninstall: ## remove what `make install` installed
	rm -f '$(DESTDIR)$(PREFIX)/bin/penstock' '$(MAN)/man8/penstock.8' '$(MAN)/man5/penstock.conf.5' \
	  '$(DESTDIR)$(PREFIX)/share/penstock/penstock.conf' '$(DOC)/grafana.json' '$(DOC)/alerts.yml' \
	  '$(SYSTEMD)/penstock.service' '$(SYSTEMD)/penstock.socket' '$(SYSUSERS)/penstock.conf' \
	  '$(BASH_COMPLETIONS)/penstock' '$(ZSH_COMPLETIONS)/_penstock' '$(FISH_COMPLETIONS)/penstock.fish'
	-rmdir '$(DESTDIR)$(PREFIX)/share/penstock' '$(DOC)'

deb: ## build build/deb/penstock_*.deb, a package for Debian
	@CXX='$(CXX)' scripts/deps deb
	@CXX='$(CXX)' scripts/deb '$(BUILD)/deb'

clean: ## remove everything that was built
	rm -rf $(BUILD)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
