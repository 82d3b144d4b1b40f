# What people type. The build itself is Meson's (meson.build); this file only names the errands.
#
#   make              builds build/src/app/tollgate
#   make release      builds build-release/src/app/tollgate, for production: what `make bench` measures
#   make demo         the gateway on the shipped manifests, with stand-in neighbours (DEMO_ARGS=--once)
#   make test         every unit and end-to-end test (TEST_ARGS='-k routing' for some of the latter)
#   make test-slow    the end-to-end tests that wait for timeouts of a minute or more
#   make test-exact   ten thousand requests to models with every kind of end: records, usage and budgets agree
#   make test-faults  the fault laboratory in full (FAULTS_ARGS='--asan --minutes 30 --seed 7'); its short forms are in make test
#   make test-sdk     the official OpenAI and Anthropic clients against the gateway (from pip and npm)
#   make test-differential  the same requests and answers, byte for byte, to the gateway, nginx, HAProxy and Node's parser
#   make test-prom    the dashboards and alerts against a real Prometheus that scrapes a gateway under traffic
#   make test-testssl testssl.sh on a listener with default TLS: nothing above LOW
#   make test-h2spec  h2spec on a listener of HTTP/2 and one of clear text: every case but a written list
#   make bench        side by side with nginx, HAProxy and Envoy (BENCH_ARGS)
#   make lint         layers, sizes, formatting, clang-tidy, cppcheck, generated documents
#   make sanitize     all tests under ASan and UBSan, with gcc and with clang
#   make tsan         the tests that use threads, under TSan
#   make fuzz         each fuzz target for SECONDS=60
#   make docs format clean

BUILD ?= build
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
FAULTS_ARGS ?=
SECONDS ?= 60
# Debian's own programs: another Python or Meson earlier in PATH may lack what these have.
PYTHON := /usr/bin/python3
MESON := /usr/bin/meson
NINJA := /usr/bin/ninja
SETUP = tools/setup-build

.PHONY: all release demo test test-slow test-exact test-faults test-sdk test-differential test-prom test-testssl test-h2spec bench lint sanitize tsan fuzz docs format clean

all:
	@tools/install-packages build
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD)

release:
	@tools/install-packages build
	@$(SETUP) build-release --native-file tools/release.ini
	@$(NINJA) -C build-release --quiet src/app/tollgate

demo:
	@tools/install-packages build demo
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@exec $(BUILD)/demo/tollgate-demo $(DEMO_ARGS)

test:
	@tools/install-packages build test
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/run-tests --build $(BUILD) -- $(TEST_ARGS)

test-slow:
	@tools/install-packages build test
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/run-tests --build $(BUILD) --only e2e -- --slow -m slow $(TEST_ARGS)

test-exact:
	@tools/install-packages build test
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/run-tests --build $(BUILD) --only e2e -- --exact -m exact -s $(TEST_ARGS)

test-faults:
	@tools/install-packages build test
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@tools/test-faults --build $(BUILD) $(FAULTS_ARGS) $(TEST_ARGS)

test-sdk:
	@tools/install-packages build test sdk
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@tools/test-sdk $(BUILD) $(TEST_ARGS)

test-differential:
	@tools/install-packages build test differential
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@TOLLGATE_BUILD=$(abspath $(BUILD)) PYTHONDONTWRITEBYTECODE=1 timeout 900 $(PYTHON) -m pytest -q -p no:cacheprovider \
		test/differential $(TEST_ARGS)

test-prom:
	@tools/install-packages build test prom
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/run-tests --build $(BUILD) --only e2e -- --prom -m prom $(TEST_ARGS)

test-testssl:
	@tools/install-packages build test testssl
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/run-tests --build $(BUILD) --only e2e -- --testssl -m testssl -s $(TEST_ARGS)

test-h2spec:
	@tools/install-packages build test h2spec
	@tools/install-h2spec
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@TOLLGATE_H2SPEC=$(CURDIR)/build-h2spec/h2spec $(PYTHON) tools/run-tests --build $(BUILD) --only e2e -- \
		--h2spec -m h2spec -s $(TEST_ARGS)

bench:
	@tools/install-packages build bench
	@bench/run $(BENCH_ARGS)

lint:
	@tools/install-packages build test lint
	@$(SETUP) $(BUILD)
	@$(NINJA) -C $(BUILD) --quiet
	@$(PYTHON) tools/lint --build $(BUILD)

sanitize:
	@tools/install-packages build test sanitize
	@$(PYTHON) tools/sanitize address $(TEST_ARGS)

tsan:
	@tools/install-packages build test sanitize
	@$(PYTHON) tools/sanitize thread $(TEST_ARGS)

fuzz:
	@tools/install-packages build sanitize
	@tools/fuzz $(SECONDS)

docs: all
	@$(PYTHON) tools/check-docs --write --build $(BUILD)

format:
	@tools/install-packages lint
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

clean:
	rm -rf build build-*
