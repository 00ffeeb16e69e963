# sockleak. `make help` lists the targets. Nothing is written outside $(BUILD) but by install, format and corpus-table.

BUILD ?= build
PREFIX ?= /usr
DESTDIR ?=
ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O2 -g
CLANG_FORMAT ?= clang-format
TSAN_TESTS ?= test_fdtable test_fdtable_records test_openings test_fdmarks test_regret test_rescue test_keepalive test_sites test_intern test_peers test_threads test_fdnames test_arena test_locks
export PYTHONDONTWRITEBYTECODE := 1
export BUILD CC CFLAGS LDFLAGS TSAN_TESTS CLANG_FORMAT

# ---- what there is: found by looking, so that a new file needs no edit here ----

DIRS := src src/base src/ledger src/stack src/watch src/reclaim src/report src/control src/hooks
SOURCES := $(sort $(wildcard $(addsuffix /*.c,$(DIRS))))
CLI_SOURCES := $(sort $(wildcard src/cli/*.c))
CLI_LIBS := -ljansson -lz -ldw -lelf -liberty -lncursesw -ltinfo
MAN_PAGES := $(sort $(wildcard docs/man/*.[157]))
LOWER_SOURCES := $(filter-out $(wildcard src/*.c) src/hooks/%,$(SOURCES))
UNIT_TESTS := $(sort $(patsubst test/unit/%.c,%,$(wildcard test/unit/test_*.c)))
HOOK_TESTS := $(sort $(patsubst test/unit/%.c,%,$(wildcard test/unit/hooks_*.c)))
UNIT_HELPERS := $(filter-out test/unit/test_%.c test/unit/hooks_%.c,$(wildcard test/unit/*.c))
FUZZERS := $(sort $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c)))
VICTIMS := $(sort $(patsubst test/victims/%.c,$(BUILD)/victims/%,\
	$(filter-out test/victims/so_%.c,$(wildcard test/victims/*.c)))) \
	$(sort $(patsubst test/victims/%.c,$(BUILD)/victims/%.so,$(wildcard test/victims/so_*.c)))
TRANSPARENT := $(sort $(patsubst test/transparent/%.c,$(BUILD)/transparent/%,\
	$(filter-out test/transparent/so_%.c,$(wildcard test/transparent/*.c))) \
	$(patsubst test/transparent/%.c,$(BUILD)/transparent/%.so,$(wildcard test/transparent/so_*.c)) \
	$(patsubst test/transparent/%.cc,$(BUILD)/transparent/%,$(wildcard test/transparent/*.cc)))
JAVA_SOURCES := $(wildcard test/java/*.java)
BENCH_JAVA := $(wildcard test/bench/*.java)
BENCH := $(addprefix $(BUILD)/bench/,calls crowd load peer idle_thread.so nothing.so java/.compiled)
FORMATTED := $(sort $(wildcard $(addsuffix /*.[ch],$(DIRS) src/cli include test/* test/corpus/*)))

JAVA_JARS := httpclient httpcore commons-logging commons-codec
empty :=
classpath = $(subst $(empty) ,:,$(patsubst %,/usr/share/java/%.jar,$(1)))
JAVA_CLASSPATH := $(call classpath,$(JAVA_JARS))

# Programs of the corpus, each through a library.
CORPUS_JARS = $(shell cat test/corpus/jars)
CORPUS := $(sort $(patsubst %,$(BUILD)/corpus/%,$(basename $(notdir $(wildcard test/corpus/*/*.c test/corpus/*/*.cc)))))
CORPUS_JAVA := $(wildcard test/corpus/*/*.java)

# A JDK: $JAVA_HOME, else the one of javac, else any. Only headers are taken from it.
JDK := $(firstword $(foreach home,$(JAVA_HOME) \
	$(patsubst %/bin/javac,%,$(shell readlink -f "$$(command -v javac)")) $(wildcard /usr/lib/jvm/*),\
	$(if $(wildcard $(home)/include/jvmti.h),$(home))))
JDK_NEEDED = $(if $(JDK),$(JDK),$(error no JDK found (include/jvmti.h is in neither JAVA_HOME, \
	nor beside javac, nor under /usr/lib/jvm): set JAVA_HOME or run scripts/install-deps))

# ---- how it is compiled ----

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
INCLUDES = -Isrc -Iinclude -isystem $(JDK_NEEDED)/include -isystem $(JDK_NEEDED)/include/linux
COMMON = $(CFLAGS) -std=gnu11 -D_GNU_SOURCE= $(WARNINGS) $(INCLUDES) -MMD -MP

# initial-exec: no call of __tls_get_addr, which may allocate. exceptions: a cancelled thread unwinds
# through our frames. No fortify, no stack protector: their failure path is abort(), in the host.
OBJECT = $(COMMON) -fPIC -fvisibility=hidden -ftls-model=initial-exec -fexceptions \
	-U_FORTIFY_SOURCE -fno-stack-protector
# now: no symbol is resolved in a signal handler. nodelete: a handler or thread may be in our code. symbolic: a door is ours by its
# address, also where the program's symbols do not lead to it. But our own threads are made as the program's are: a sanitizer that stands
# before us must see each begin. build-id: by it one build is told from another, whatever the compiler adds.
SHARED = -shared $(LDFLAGS) -Wl,--build-id -Wl,-Bsymbolic-functions -Wl,--export-dynamic-symbol=pthread_create -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,defs -Wl,--as-needed

# Says what is made in a word; V=1 shows the commands.
quiet = $(if $(V),,@echo '  $(1)  $@';)

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN := -fsanitize=thread
FUZZ := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_OBJECT := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_CC ?= clang

.PHONY: all check demo bench bench-quick build-bench install uninstall clean format lint help unit asan tsan e2e check-real check-corpus corpus-table stress \
	fuzz build-fuzz build-unit build-asan build-tsan build-e2e build-real build-corpus FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/libsockleak.so $(BUILD)/sockleak $(MAN_PAGES:docs/man/%=$(BUILD)/man/%) ## build the library and the command

# Rebuilds everything when the compiler or its flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) | $(OBJECT) | $(SHARED)' | cmp -s - $@ || \
		echo '$(CC) | $(OBJECT) | $(SHARED)' > $@

$(BUILD)/libsockleak.so: $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
	$(call quiet,CC)$(CC) $(OBJECT) -o $@ $^ $(SHARED)

# The command takes from the library what renders a report and what lies below that.
$(BUILD)/sockleak: $(CLI_SOURCES:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/unit/libsockleak.a
	$(call quiet,CC)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(CLI_LIBS)

$(BUILD)/man/%: docs/man/% scripts/gen-man $(BUILD)/sockleak
	@mkdir -p $(@D)
	$(call quiet,MAN)scripts/gen-man $< > $@

# objects VARIANT FLAGS: the library's objects, the test helpers and the test programs of one variant.
define objects
$(BUILD)/$(1)/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call quiet,CC)$$(CC) $$(OBJECT) $(2) -c -o $$@ $$<
endef

# The assembler takes these in.
$(patsubst %,$(BUILD)/%/cli/page.o,obj asan/obj tsan/obj): src/cli/page.css src/cli/page.js

# programs VARIANT OBJECTS FLAGS. A test of a module is linked with what lies below the hooks, a hooks_*
# program with everything: there the hooks interpose in the program itself.
define programs
$(BUILD)/$(1)/libsockleak.a: $(LOWER_SOURCES:src/%.c=$(BUILD)/$(2)/%.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call quiet,AR)$$(AR) rcs $$@ $$^

$(BUILD)/$(1)/libcli.a: $(patsubst src/%.c,$(BUILD)/$(2)/%.o,$(filter-out src/cli/main.c,$(CLI_SOURCES)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call quiet,AR)$$(AR) rcs $$@ $$^

$(BUILD)/$(1)/helpers.a: $(UNIT_HELPERS:test/unit/%.c=$(BUILD)/$(1)/test/%.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call quiet,AR)$$(AR) rcs $$@ $$^

$(BUILD)/$(1)/test/%.o: test/unit/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call quiet,CC)$$(CC) $$(COMMON) -Itest/unit -ftls-model=initial-exec $(3) -c -o $$@ $$<

$(BUILD)/$(1)/test/%.o: test/fuzz/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call quiet,CC)$$(CC) $$(COMMON) -DSL_FUZZ_MAIN -ftls-model=initial-exec $(3) -c -o $$@ $$<

$(BUILD)/$(1)/test_%: $(BUILD)/$(1)/test/test_%.o $(BUILD)/$(1)/helpers.a $(BUILD)/$(1)/libsockleak.a
	$$(call quiet,CC)$$(CC) $(3) -o $$@ $$^ -lcmocka -pthread

$(BUILD)/$(1)/test_cli_%: $(BUILD)/$(1)/test/test_cli_%.o $(BUILD)/$(1)/helpers.a $(BUILD)/$(1)/libcli.a $(BUILD)/$(1)/libsockleak.a
	$$(call quiet,CC)$$(CC) $(3) -o $$@ $$^ -lcmocka $(CLI_LIBS) -pthread

$(BUILD)/$(1)/fuzz_snapshot: $(BUILD)/$(1)/test/fuzz_snapshot.o $(BUILD)/$(1)/libcli.a $(BUILD)/$(1)/libsockleak.a
	$$(call quiet,CC)$$(CC) $(3) -o $$@ $$^ $(CLI_LIBS) -pthread

$(BUILD)/$(1)/fuzz_%: $(BUILD)/$(1)/test/fuzz_%.o $(BUILD)/$(1)/libsockleak.a
	$$(call quiet,CC)$$(CC) $(3) -o $$@ $$^ -pthread

$(BUILD)/$(1)/hooks_%: $(BUILD)/$(1)/test/hooks_%.o $(BUILD)/$(1)/helpers.a $(SOURCES:src/%.c=$(BUILD)/$(2)/%.o)
	$$(call quiet,CC)$$(CC) $(3) -o $$@ $$(filter-out %.a,$$^) $$(filter %.a,$$^) -lcmocka -pthread
endef

$(eval $(call objects,obj,))
$(eval $(call objects,asan/obj,$(ASAN)))
$(eval $(call objects,tsan/obj,$(TSAN)))
$(eval $(call programs,unit,obj,))
$(eval $(call programs,asan,asan/obj,$(ASAN)))
$(eval $(call programs,tsan,tsan/obj,$(TSAN)))

# With libFuzzer, whose main() takes the place of ours.
$(eval $(call objects,fuzz/obj,$(FUZZ_OBJECT)))

$(BUILD)/fuzz/libsockleak.a: $(LOWER_SOURCES:src/%.c=$(BUILD)/fuzz/obj/%.o)
	@mkdir -p $(@D)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $^

$(BUILD)/fuzz/libcli.a: $(patsubst src/%.c,$(BUILD)/fuzz/obj/%.o,$(filter-out src/cli/main.c,$(CLI_SOURCES)))
	@mkdir -p $(@D)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $^

$(BUILD)/fuzz/fuzz_snapshot: test/fuzz/fuzz_snapshot.c $(BUILD)/fuzz/libcli.a $(BUILD)/fuzz/libsockleak.a
	$(call quiet,CC)$(CC) $(COMMON) $(FUZZ) -o $@ $^ $(CLI_LIBS) -pthread

$(BUILD)/fuzz/fuzz_%: test/fuzz/fuzz_%.c $(BUILD)/fuzz/libsockleak.a
	$(call quiet,CC)$(CC) $(COMMON) $(FUZZ) -o $@ $^ -pthread

build-fuzz: $(addprefix $(BUILD)/fuzz/,$(FUZZERS))

build-unit: $(addprefix $(BUILD)/unit/,$(UNIT_TESTS) $(HOOK_TESTS))
build-asan: $(addprefix $(BUILD)/asan/,$(UNIT_TESTS) $(HOOK_TESTS) $(FUZZERS))
build-tsan: $(addprefix $(BUILD)/tsan/,$(filter $(TSAN_TESTS),$(UNIT_TESTS)) torture)
build-e2e: all $(VICTIMS) $(TRANSPARENT) $(if $(JAVA_SOURCES),$(BUILD)/java/.compiled)

build-real: all $(addprefix $(BUILD)/victims/,inject_driver so_attached.so) $(if $(JAVA_SOURCES),$(BUILD)/java/.compiled)

build-bench: all $(BENCH)

build-corpus: all $(CORPUS) $(BUILD)/corpus/java/.compiled

# A program under test is plain code. Its own flags, if any, stand in its first line: /* Build: FLAGS */
victim_flags = $(shell sed -n '1s|^/\* Build: \(.*\) \*/$$|\1|p' $<)

$(BUILD)/victims/%: test/victims/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -Iinclude -MMD -MP -o $@ $< -pthread $(victim_flags)

# The command's own way in, without the command.
$(BUILD)/victims/inject_driver: test/victims/inject_driver.c $(BUILD)/unit/libcli.a $(BUILD)/unit/libsockleak.a
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(COMMON) -o $@ $(filter-out %.h,$^) $(CLI_LIBS) -pthread

$(BUILD)/corpus/%: test/corpus/guilty/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/corpus/%: test/corpus/guilty/%.cc
	@mkdir -p $(@D)
	$(call quiet,CXX)$(CXX) -O1 -g -std=gnu++17 -Wall -Wextra -Werror -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/corpus/%: test/corpus/innocent/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/transparent/%: test/transparent/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/transparent/so_%.so: test/transparent/so_%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -fPIC -shared -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/transparent/%: test/transparent/%.cc
	@mkdir -p $(@D)
	$(call quiet,CXX)$(CXX) -O1 -g -std=gnu++17 -Wall -Wextra -Werror -MMD -MP -o $@ $< -pthread $(victim_flags)

# The library in the program itself: TSan sees both.
$(BUILD)/tsan/torture: test/victims/torture.c $(SOURCES:src/%.c=$(BUILD)/tsan/obj/%.o)
	$(call quiet,CC)$(CC) $(CFLAGS) -std=gnu11 -Wall -Wextra -Werror $(TSAN) -o $@ $^ -pthread

# The programs that are measured.
$(BUILD)/bench/%: test/bench/%.c test/bench/bench.h
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O2 -g -std=gnu11 -Wall -Wextra -Werror -o $@ $< $(victim_flags)

$(BUILD)/bench/%.so: test/bench/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O2 -g -std=gnu11 -Wall -Wextra -Werror -o $@ $< $(victim_flags)

$(BUILD)/bench/java/.compiled: $(BENCH_JAVA)
	@mkdir -p $(@D)
	$(call quiet,JAVAC)$(JDK_NEEDED)/bin/javac --release 11 -Xlint:all -Werror -g -d $(@D) $^
	@touch $@

$(BUILD)/victims/so_%.so: test/victims/so_%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) -O1 -g -std=gnu11 -Wall -Wextra -Werror -fPIC -shared -MMD -MP -o $@ $< -pthread $(victim_flags)

$(BUILD)/java/.compiled: $(JAVA_SOURCES)
	@mkdir -p $(@D)
	$(call quiet,JAVAC)$(JDK_NEEDED)/bin/javac --release 11 -Xlint:all,-path -Werror -g -cp $(JAVA_CLASSPATH) -d $(@D) $(JAVA_SOURCES)
	@touch $@

$(BUILD)/corpus/java/.compiled: $(CORPUS_JAVA)
	@mkdir -p $(@D)
	$(call quiet,JAVAC)$(JDK_NEEDED)/bin/javac --release 11 -Xlint:all,-path -Werror -g -cp $(call classpath,$(CORPUS_JARS)) -d $(@D) $^
	@touch $@

-include $(wildcard $(BUILD)/victims/*.d $(BUILD)/corpus/*.d $(BUILD)/transparent/*.d) $(shell find $(BUILD) -path '*obj/*.d' -o -path '*/test/*.d' 2>/dev/null)

# ---- checks ----

check: ## run every check and test; the last line counts them
	@scripts/check-all

unit: ## run the unit tests
	@scripts/check-all unit

asan: ## run the unit tests and the fuzz corpus under ASan and UBSan
	@scripts/check-all asan fuzz

tsan: ## run the tests of what threads share under TSan
	@scripts/check-all tsan

e2e: ## run real programs under the library
	@scripts/check-all e2e

check-real: ## run real servers with the library and without (REAL_ROUNDS=N, REAL_LONG=1: longer)
	@scripts/check-all real

check-corpus: ## run leaks of many libraries, and programs without one, and judge what the report says of them
	@scripts/check-all corpus

corpus-table: ## the same, and put what it says into docs/diagnosis.md
	@CORPUS_TABLE=write scripts/check-all corpus

stress: build-e2e ## long runs of real programs; a hundred visits of each; the torture test for STRESS_SECONDS (120) at each action
	@scripts/stress

fuzz: ## run the fuzzers with libFuzzer for FUZZ_SECONDS (60) each; needs clang
	@$(MAKE) -s --no-print-directory CC=$(FUZZ_CC) BUILD=$(BUILD)/libfuzzer build-fuzz
	@BUILD=$(BUILD)/libfuzzer scripts/fuzz

lint: ## clang-format, cppcheck, clang-tidy, shellcheck
	@scripts/check-all lint

format: ## lay the C code out as .clang-format says
	$(CLANG_FORMAT) -i $(FORMATTED)

demo: all $(BUILD)/java/.compiled ## show the outage, then the report, in a private network namespace
	@scripts/run-demo

bench: build-bench ## measure what the library costs, and write docs/performance.md; under ten minutes, on an idle machine
	@scripts/bench

bench-quick: build-bench ## the same with few rounds, under a minute; writes no document
	@scripts/bench --quick

# ---- install ----

BIN_DIR = $(DESTDIR)$(PREFIX)/bin
LIB_DIR = $(DESTDIR)$(PREFIX)/lib/sockleak
INCLUDE_DIR = $(DESTDIR)$(PREFIX)/include
MAN_DIR = $(DESTDIR)$(PREFIX)/share/man
BASH_DIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR = $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
FISH_DIR = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
DOC_DIR = $(DESTDIR)$(PREFIX)/share/doc/sockleak
HEADERS = $(wildcard include/sockleak.h)
# Laid out as here, so that the links of one lead to the other.
TOP_DOCS = README.md CHANGELOG.md CONTRIBUTING.md LICENSE
DOCS = $(wildcard docs/*.md docs/*.json docs/*.png)

# put MODE FILE FOLDER [NAME]: by rename. Writing into a mapped object crashes the programs that run on it.
put = install -m $(1) $(2) $(3)/.$(notdir $(2)).new && mv -f $(3)/.$(notdir $(2)).new $(3)/$(or $(4),$(notdir $(2)))
section = $(MAN_DIR)/man$(subst .,,$(suffix $(1)))
INSTALLED_COMPLETIONS = $(BASH_DIR)/sockleak $(ZSH_DIR)/_sockleak $(FISH_DIR)/sockleak.fish

install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(BIN_DIR) $(LIB_DIR) $(INCLUDE_DIR) $(DOC_DIR)/docs $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR) \
		$(sort $(foreach f,$(MAN_PAGES),$(call section,$(f))))
	$(call put,755,$(BUILD)/libsockleak.so,$(LIB_DIR))
	$(call put,755,$(BUILD)/sockleak,$(BIN_DIR))
	$(call put,644,src/cli/completion/sockleak.bash,$(BASH_DIR),sockleak)
	$(call put,644,src/cli/completion/_sockleak,$(ZSH_DIR))
	$(call put,644,src/cli/completion/sockleak.fish,$(FISH_DIR))
	$(foreach f,$(MAN_PAGES),$(call put,644,$(BUILD)/man/$(notdir $(f)),$(call section,$(f))) &&) true
	$(foreach f,$(HEADERS),$(call put,644,$(f),$(INCLUDE_DIR)) &&) true
	$(foreach f,$(TOP_DOCS),$(call put,644,$(f),$(DOC_DIR)) &&) true
	$(foreach f,$(DOCS),$(call put,644,$(f),$(DOC_DIR)/docs) &&) true

uninstall: ## remove what install put there
	rm -f $(foreach f,$(MAN_PAGES),$(call section,$(f))/$(notdir $(f))) $(INSTALLED_COMPLETIONS)
	rm -f $(BIN_DIR)/sockleak $(LIB_DIR)/libsockleak.so $(INCLUDE_DIR)/sockleak.h $(addprefix $(DOC_DIR)/,$(TOP_DOCS) $(DOCS))
	-rmdir --ignore-fail-on-non-empty $(wildcard $(LIB_DIR)) $(wildcard $(DOC_DIR)/docs) $(wildcard $(DOC_DIR))

clean: ## remove $(BUILD)
	rm -rf $(BUILD)

help: ## this list
	@echo 'Targets:'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1 \2/p' Makefile | \
		while read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done
	@echo 'Variables: CC, CFLAGS, LDFLAGS, BUILD, PREFIX, DESTDIR, JAVA_HOME; V=1 shows the commands'
