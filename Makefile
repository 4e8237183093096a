# Elanus: one non-recursive Makefile.  `make help` lists the targets.
#
#   MODE=release|debug|asan|tsan   what to build; objects go to build/MODE
#   binaries                       build/bin (release), build/MODE/bin (others)

MODE ?= release
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

VERSION := 0.1.0
OUT := build/$(MODE)
BIN := $(if $(filter release,$(MODE)),build/bin,$(OUT)/bin)
GEN := build/gen

# --- flags ------------------------------------------------------------------
WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wswitch-enum -Wmissing-prototypes \
        -Wstrict-prototypes -Wno-unused-parameter -Wno-sign-conversion
BASE := -std=gnu17 -D_GNU_SOURCE -fno-omit-frame-pointer -fno-strict-aliasing -pthread \
        -fstack-protector-strong -I. -I$(GEN) -DELANUS_VERSION='"$(VERSION)"'
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
FLAGS_debug   := -O0 -g3 -DELANUS_SLOW_CHECKS
FLAGS_asan    := -O1 -g -DELANUS_SLOW_CHECKS -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan    := -O1 -g -DELANUS_SLOW_CHECKS -fsanitize=thread -Wno-tsan
$(if $(FLAGS_$(MODE)),,$(error MODE=$(MODE): one of release debug asan tsan))
CFLAGS := $(BASE) $(WARN) $(FLAGS_$(MODE))
GENFLAGS := $(BASE) $(filter -fsanitize%,$(FLAGS_$(MODE))) -O1 -w
LDFLAGS := -pthread $(filter -fsanitize%,$(FLAGS_$(MODE))) -Wl,-z,relro,-z,now
# libs3 is linked statically so that core/store/s3wrap.c can stand between it and libcurl.
LIBS := -Wl,--wrap=curl_easy_setopt,--wrap=curl_easy_perform -l:libs3.a \
        -lczmq -lzmq -lprotobuf-c -lcurl -lxml2 -lnghttp2 -lssl -lcrypto -lsodium -llmdb \
        -lroaring -lyaml -ljansson -lxxhash -lzstd -lz -lm

# --- sources ----------------------------------------------------------------
ROLES := proxy coord datanode querynode indexnode
PROGRAMS := elanus $(ROLES:%=elanus-%)
SRC := $(filter-out %/main.c,$(wildcard core/*/*.c $(ROLES:%=%/*.c) cli/*.c))
PROTO := $(wildcard proto/*.proto)
GENSRC := $(PROTO:proto/%.proto=$(GEN)/%.pb-c.c)
OBJ := $(SRC:%.c=$(OUT)/%.o)
GENOBJ := $(GENSRC:$(GEN)/%.c=$(OUT)/gen/%.o)
LIB := $(OUT)/libelanus.a
TESTSRC := $(wildcard tests/unit/*/test_*.c tests/sim/test_*.c tests/fuzz/replay_*.c tests/integration/test_*.c)
TESTBIN := $(TESTSRC:tests/%.c=$(OUT)/tests/%)
SUPPORT := $(wildcard tests/support/*.c)
SUPPORTOBJ := $(SUPPORT:%.c=$(OUT)/%.o)
BENCHBIN := $(patsubst tests/bench/%.c,$(OUT)/bench/%,$(wildcard tests/bench/*.c))

# --- building ---------------------------------------------------------------
.PHONY: all
all: $(PROGRAMS:%=$(BIN)/%)                      ## build every binary into build/bin

$(BIN)/elanus: $(OUT)/cli/main.o
$(foreach r,$(ROLES),$(eval $(BIN)/elanus-$(r): $(OUT)/$(r)/main.o))
$(PROGRAMS:%=$(BIN)/%): $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LIBS)

$(LIB): $(OBJ) $(GENOBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# Every source may include a generated header, so all of those come first;
# afterwards the .d files know which ones it really needs.
$(OUT)/%.o: %.c | $(GENSRC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FLAGS_$*) -MMD -MP -c -o $@ $<

FLAGS_core/simd/avx2 := -mavx2 -mfma -mf16c
FLAGS_core/simd/avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma

$(OUT)/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(CC) $(GENFLAGS) -MMD -MP -c -o $@ $<

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: proto/%.proto
	@mkdir -p $(GEN)
	protoc-c --proto_path=proto --c_out=$(GEN) $<

.PHONY: gen
gen: $(GENSRC)                                   ## generate C from proto/

# --- tests ------------------------------------------------------------------
.PHONY: tests
tests: $(TESTBIN) all                            ## build the test programs, run nothing

$(TESTBIN): $(OUT)/tests/%: $(OUT)/tests/%.o $(SUPPORTOBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(SUPPORTOBJ) $(LIB) -lcmocka $(LIBS)

.PHONY: unit
unit: $(filter $(OUT)/tests/unit/%,$(TESTBIN))   ## build and run the unit tests
	@set -e; for t in $^; do echo "== $$t"; $$t; done

$(BENCHBIN): $(OUT)/bench/%: $(OUT)/tests/bench/%.o $(SUPPORTOBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(SUPPORTOBJ) $(LIB) $(LIBS)

# --- house keeping ----------------------------------------------------------
.PHONY: clean help
clean:                                           ## remove everything built
	rm -rf build

help:                                            ## list the targets
	@echo "Targets (MODE=release|debug|asan|tsan):"
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

-include $(OBJ:.o=.d) $(GENOBJ:.o=.d) $(SUPPORTOBJ:.o=.d) $(TESTBIN:%=%.d) $(PROGRAMS:%=$(OUT)/%/main.d)
