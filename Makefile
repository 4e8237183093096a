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
# Libraries are not built for tsan: their side of a hand-over is unknown to it (core/base/tsan.h).
export TSAN_OPTIONS ?= ignore_noninstrumented_modules=1
LDFLAGS := -pthread $(filter -fsanitize%,$(FLAGS_$(MODE))) -Wl,-z,relro,-z,now
# libs3 is linked statically so that core/store/s3wrap.c can stand between it and libcurl.
LIBS := -Wl,--wrap=curl_easy_setopt,--wrap=curl_easy_perform,--wrap=gmtime,--wrap=parseIso8601Time \
        -l:libs3.a \
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
TESTSRC := $(wildcard tests/unit/*/test_*.c tests/recall/test_*.c tests/sim/test_*.c \
             tests/fuzz/replay_*.c tests/integration/test_*.c)
TESTBIN := $(TESTSRC:tests/%.c=$(OUT)/tests/%)
SUPPORT := $(wildcard tests/support/*.c)
SUPPORTOBJ := $(SUPPORT:%.c=$(OUT)/%.o)
BENCHBIN := $(patsubst tests/bench/%.c,$(OUT)/bench/%,$(wildcard tests/bench/*.c))
FUZZBIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
DEPS := $(OBJ:.o=.d) $(GENOBJ:.o=.d) $(SUPPORTOBJ:.o=.d) $(TESTBIN:%=%.d) \
        $(BENCHBIN:$(OUT)/bench/%=$(OUT)/tests/bench/%.d) \
        $(OUT)/cli/main.d $(ROLES:%=$(OUT)/%/main.d)
JOBS ?= $(shell nproc)

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
$(OUT)/%.o: %.c | $(GENSRC) $(GEN)/methods.inc
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FLAGS_$*) -MMD -MP -c -o $@ $<

# The console's files are part of this object.
$(OUT)/proxy/webui.o: $(wildcard web/*)

# The kernels are long inlined functions: under asan, checks by call and no tracking of
# variables compile in a quarter of the time, and every check is still made.
KERNEL_asan := -fno-var-tracking --param asan-instrumentation-with-call-threshold=0
FLAGS_core/simd/scalar := $(KERNEL_$(MODE))
# On emulated instructions even more so; nobody waits for their result.
FLAGS_tests/unit/simd/test_emulated := $(KERNEL_$(MODE)) -O0 -U_FORTIFY_SOURCE
FLAGS_tests/unit/simd/test_codes := $(FLAGS_tests/unit/simd/test_emulated)
# The only two sources for more than the baseline; see core/simd/cpu.h.
ifeq ($(shell uname -m),x86_64)
FLAGS_core/simd/avx2 := $(KERNEL_$(MODE)) -mavx2 -mfma -mf16c -mpopcnt
FLAGS_core/simd/avx512 := $(KERNEL_$(MODE)) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma \
                          -mpopcnt
endif

$(OUT)/gen/%.o: $(GEN)/%.c | $(GENSRC)
	@mkdir -p $(@D)
	$(CC) $(GENFLAGS) -MMD -MP -c -o $@ $<

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: proto/%.proto
	@mkdir -p $(GEN)
	protoc-c --proto_path=proto --proto_path=/usr/include --c_out=$(GEN) $<

$(GEN)/methods.inc: proto/milvus.proto scripts/methods.awk
	@mkdir -p $(GEN)
	awk -f scripts/methods.awk $< >$@

.PHONY: gen
gen: $(GENSRC) $(GEN)/methods.inc               ## generate C from proto/

# --- tests ------------------------------------------------------------------
.PHONY: test tests unit tidy docs-test fuzz sim differential durability planted chaos compose-test
test:                                            ## install, build and run every test
	scripts/deps.sh
	@$(MAKE) -s -j$(JOBS) all tests
	@MODE=$(MODE) tests/run.py $(TESTS)

tests: $(TESTBIN)                                ## build the test programs, run nothing

$(TESTBIN): $(OUT)/tests/%: $(OUT)/tests/%.o $(SUPPORTOBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(SUPPORTOBJ) $(LIB) -lcmocka $(LIBS)

# The simulated cluster answers for clock, chance, machine and locks (tests/support/sim_time.c).
SIMWRAP := clock_mono_ms clock_sleep_ms rng_from_os hostinfo_read pthread_mutex_lock
$(OUT)/tests/sim/test_sim_cluster: LIBS += $(SIMWRAP:%=-Wl,--wrap=%)

# SEED=7 is that one only; TRACE=1 tells what clients ask and hear, and what nodes log.
sim: $(OUT)/tests/sim/test_sim_cluster           ## SEEDS= FROM= SEED= TRACE=: simulated clusters
	@$(if $(SEED),ELANUS_SIM_SEED=$(SEED) )$(if $(TRACE),ELANUS_SIM_HISTORY=1 ELANUS_SIM_LOG=1 \
	    )ELANUS_SIM_SEEDS=$(or $(SEEDS),1000) ELANUS_SIM_FROM=$(or $(FROM),1) $<

unit: $(filter $(OUT)/tests/unit/%,$(TESTBIN))   ## build and run the unit tests
	@set -e; for t in $^; do echo "== $$t"; $$t; done

tidy: gen                                        ## check layers, bans, lengths, names, links
	@tests/run.py tidy

docs-test: all                                   ## DOCS= UPDATE=1: do what README, labs, docs say
	@tests/docs/run_docs.py $(DOCS)

differential: all                                ## SEED= STEPS=: beside the real Milvus
	@SEED=$(or $(SEED),1) STEPS=$(or $(STEPS),1000) LIMIT_S=3600 \
	    tests/run.py --timeout 3700 e2e/test_differential

# PLANTED=BUG_X (datanode/data_planted.h): a server that has this bug; it must be found.
PLANT := $(if $(PLANTED),$(OUT)/planted/$(PLANTED))
durability: all $(PLANT:%=%/elanus)              ## ROUNDS= SEED= PLANTED=: kill -9, over and over
	@ROUNDS=$(or $(ROUNDS),100) SEED=$(SEED) PLANTED=$(PLANT:%=$(CURDIR)/%/elanus) \
	    tests/run.py --timeout 7200 e2e/test_durability

chaos: all $(PLANT:%=%/cluster/elanus)           ## ROWS= SEED= RUNS=: faults on a real cluster
	@ROWS="$(ROWS)" SEED=$(SEED) RUNS=$(RUNS) PLANTED=$(PLANT:%=$(CURDIR)/%/cluster/elanus) \
	    $$(scripts/venv.sh 2.6.17) tests/chaos/chaos.py

# Without the one that only a proxy which repeats itself can see (tests/sim/test_sim_write.c).
planted: planted-sim                             ## durability finds each planted bug
	@set -e; for bug in $$(grep -o 'BUG_[A-Z_]*' datanode/data_planted.h | sort -u | \
	    grep -v -e BUG_NONE -e BUG_FORGET_REQUESTS); do echo "== $$bug"; \
	    $(MAKE) -s durability PLANTED=$$bug ROUNDS=30; done

# The simulator with every planted bug, one after the other; PLANT_NO=3: that one, SEEDS= at most.
SIMPLANT := $(OUT)/planted/sim
SIMPLANTOBJ := $(patsubst %.c,$(SIMPLANT)/%.o,$(filter datanode/% querynode/%,$(SRC)) \
                 tests/support/sim_planted.c tests/sim/test_sim_cluster.c)
.PHONY: planted-sim
planted-sim: $(SIMPLANT)/sim_cluster             ## the simulator finds each planted bug
	@$(if $(PLANT_NO),ELANUS_SIM_PLANT=$(PLANT_NO) )$(if $(SEEDS),ELANUS_SIM_SEEDS=$(SEEDS) )$<

$(SIMPLANT)/%.o: %.c | $(GENSRC) $(GEN)/methods.inc
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DDATA_PLANTED -MMD -MP -c -o $@ $<

$(SIMPLANT)/sim_cluster: $(SIMPLANTOBJ) $(SUPPORTOBJ) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS) $(SIMWRAP:%=-Wl,--wrap=%)
DEPS += $(SIMPLANTOBJ:.o=.d)

ifdef PLANTED
# Only the data node is compiled anew; the rest comes from the library.
PLANTOBJ := $(patsubst %.c,$(PLANT)/%.o,$(filter datanode/%,$(SRC)) tests/support/planted.c)
$(PLANT)/%.o: %.c | $(GENSRC) $(GEN)/methods.inc
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DDATA_PLANTED -DPLANTED_BUG=$(PLANTED) -MMD -MP -c -o $@ $<

$(PLANT)/elanus: $(OUT)/cli/main.o $(PLANTOBJ) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(PLANT)/cluster/elanus: $(OUT)/datanode/main.o $(PLANTOBJ) $(LIB) | $(PROGRAMS:%=$(BIN)/%)
	@mkdir -p $(@D)
	cp -fl $(PROGRAMS:%=$(BIN)/%) $(@D)
	rm $(@D)/elanus-datanode
	$(CC) $(LDFLAGS) -o $(@D)/elanus-datanode $^ $(LIBS)
DEPS += $(PLANTOBJ:.o=.d)
endif

# Coverage-guided fuzzing wants clang; `make test` replays the corpora with gcc.
# SECONDS_EACH bounds one target's run.
SECONDS_EACH ?= 60
fuzz: $(FUZZBIN)                                 ## fuzz each target for SECONDS_EACH (clang)
	@set -e; for f in $^; do name=$${f##*/fuzz_}; mkdir -p build/fuzz/corpus/$$name; \
	    $$f -max_total_time=$(SECONDS_EACH) build/fuzz/corpus/$$name tests/fuzz/corpus/$$name; done

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(SRC) $(GENSRC) $(GEN)/methods.inc
	@command -v clang >/dev/null || { echo "make fuzz needs clang (apt-get install clang)"; exit 1; }
	@mkdir -p $(@D)
	clang $(BASE) -w -O1 -g -fsanitize=fuzzer,address,undefined -o $@ $< $(SRC) $(GENSRC) $(LIBS)

compose-test:                                    ## ROWS=: docker compose, services killed
	@$$(scripts/venv.sh 2.6.17) tests/chaos/compose.py

# --- benchmarks -------------------------------------------------------------
BENCHES := start door store net wal data simd query scalar index milvus cluster
.PHONY: bench $(BENCHES:%=bench-%)
$(BENCHBIN): $(OUT)/bench/%: $(OUT)/tests/bench/%.o $(SUPPORTOBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(SUPPORTOBJ) $(LIB) -lcmocka $(LIBS)

bench: $(BENCHES:%=bench-%)                      ## run every benchmark

bench-start: all                                 ## standalone: start time, idle memory and CPU
	@tests/bench/bench_start.py

bench-store: $(OUT)/bench/bench_store            ## objects: how long puts and gets take
	@$<

bench-wal: $(OUT)/bench/bench_wal                ## the local log: commits beside plain fdatasync
	@$<

bench-data: $(OUT)/bench/bench_data              ## a write's cost for the data node's thread
	@$<

bench-simd: $(OUT)/bench/bench_simd              ## distance kernels beside the read bandwidth
	@$<

bench-query: $(OUT)/bench/bench_query            ## searches of one segment beside the bare kernels
	@$<

bench-scalar: $(OUT)/bench/bench_scalar          ## filters by scalar indexes beside reading columns
	@$< $(ROUNDS)

# Only what an index needs, once more, for Python to load; see tests/bench/ann/ann_shim.c.
ANNSRC := $(filter core/base/% core/simd/% core/index/%,$(SRC)) tests/bench/ann/ann_shim.c
ANNOBJ := $(ANNSRC:%.c=$(OUT)/pic/%.o)
DEPS += $(ANNOBJ:.o=.d)
$(OUT)/pic/%.o: %.c | $(GENSRC) $(GEN)/methods.inc
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FLAGS_$*) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

$(OUT)/bench/libann.so: $(ANNOBJ)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -shared -Wl,-z,defs -Wl,--as-needed -o $@ $^ \
	    $(filter-out -Wl% -l:%,$(LIBS))

# QUICK=1: three minutes; DATASETS= ROWS= INDEXES= PEERS= ROUNDS=: some of it only.
bench-index: $(OUT)/bench/libann.so              ## indexes beside hnswlib, faiss, ScaNN, DiskANN
	@DATASETS="$(DATASETS)" ROWS=$(ROWS) INDEXES="$(INDEXES)" PEERS="$(PEERS)" \
	    ROUNDS=$(ROUNDS) QUICK=$(QUICK) $$(scripts/ann_venv.sh) tests/bench/bench_index.py $<


.PHONY: bench-index-server
bench-index-server: all                          ## the same through a server; PEERS=milvus too
	@DATASETS="$(DATASETS)" ROWS=$(ROWS) INDEXES="$(INDEXES)" PEERS="$(PEERS)" ROUNDS=$(ROUNDS) \
	    $$(scripts/venv.sh 2.6.17) tests/bench/bench_index_server.py

bench-door: $(OUT)/bench/bench_door              ## the proxy's door: calls/s, and p99 beside floods
	@$<

bench-milvus: all                                ## standalone beside the real Milvus 2.3.5
	@$$(scripts/venv.sh 2.6.17) tests/bench/bench_milvus.py $(BENCH)

bench-cluster: all                               ## `elanus up` beside standalone and Milvus 2.3.5
	@$$(scripts/venv.sh 2.6.17) tests/bench/bench_cluster.py $(BENCH)

bench-net: $(OUT)/bench/bench_net                ## a call between nodes beside bare ZeroMQ
	@$<

# --- house keeping ----------------------------------------------------------
.PHONY: deps demo labs clean help
deps:                                            ## install what is needed on Debian 12
	scripts/deps.sh

demo:                                            ## start Elanus and show it to pymilvus
	@scripts/demo.sh

labs:                                            ## a Python with pymilvus for labs/
	@labs/setup.sh

clean:                                           ## remove everything built
	rm -rf build

help:                                            ## list the targets
	@echo "Targets (MODE=release|debug|asan|tsan):"
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

-include $(DEPS)
