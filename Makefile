# SPDX-License-Identifier: Apache-2.0
# "make" alone prints what there is. Everything that is made lies in bin/, .cache/, $SLIPWAY_HOME (default ~/.slipway) and
# $SLIPWAY_CACHE (default ~/.cache/slipway).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build prerequisites quickstart binaries images test check gen e2e e2e-long from-images test-containers test-e2e bench-quickstart bench-upgrade clean clean-images

# The same flags everywhere, so that all share Go's build cache. Where git does not answer, as in a checkout that is
# somebody else's, go build would fail for want of a revision to record.
export CGO_ENABLED := 0
export GOFLAGS := $(filter-out -trimpath,$(shell go env GOFLAGS 2>/dev/null)) -trimpath \
	$(shell git describe --always >/dev/null 2>&1 || echo -buildvcs=false)

# Only the command line gives another (make VERSION=...): many an environment has a VERSION of something else.
VERSION := v1.37.1
FROM := v1.36.3
# Modules with tests that are not part of the root module.
MODULES := api nodeimage/network nodeimage/runtime
HOME_DIR = $${SLIPWAY_HOME:-$$HOME/.slipway}
CACHE_DIR = $${SLIPWAY_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/slipway}

help: ## print this
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; do
		printf 'make %-18s %s\n' "$$target" "$$text"
	done

build: ## build bin/slipway
	@scripts/prerequisites go
	version=$$(git describe --tags --always --dirty 2>/dev/null || echo dev)
	go build -ldflags "-s -w -X main.version=$$version" -o bin/slipway ./cmd/slipway

# Everything that can be found missing is looked for before what takes minutes. (No recipe calls make itself: with .ONESHELL
# such a recipe would be carried out by make -n too.)
prerequisites:
	@scripts/prerequisites go
	scripts/prerequisites images
	scripts/prerequisites engine

quickstart: prerequisites build ## a management cluster, and cluster "quickstart" with three nodes
	@unset KUBECONFIG
	export SLIPWAY_SOURCE=$$PWD
	bin/slipway up --detach >/dev/null
	scripts/prerequisites as-root bin/slipway image build --kubernetes-version $(VERSION)
	bin/slipway create cluster quickstart --kubernetes-version $(VERSION) --control-plane-machine-count 1 --worker-machine-count 2 --wait >/dev/null
	ln -sfn "$$(bin/slipway image binaries --kubernetes-version $(VERSION))/kubectl" bin/kubectl
	(umask 077 && bin/slipway get kubeconfig quickstart >bin/quickstart.kubeconfig)
	printf '\n'
	bin/kubectl --kubeconfig bin/quickstart.kubeconfig get nodes
	printf '%s\n' '' \
		"Kubeconfig of the cluster: $$PWD/bin/quickstart.kubeconfig" \
		"Try next:" \
		"  export PATH=$$PWD/bin:\$$PATH KUBECONFIG=$(HOME_DIR)/kubeconfig" \
		"  slipway describe cluster quickstart                              # what it is made of" \
		"  kubectl scale machinedeployment quickstart-workers --replicas=3  # one worker more" \
		"  kubectl --kubeconfig bin/quickstart.kubeconfig get nodes --watch" \
		"  slipway delete cluster quickstart --wait" \
		"make clean takes all of it away."

binaries: build ## build the Kubernetes binaries of VERSION (default v1.37.1)
	@SLIPWAY_SOURCE=$$PWD bin/slipway image binaries --kubernetes-version $(VERSION)

images: prerequisites build ## build the node image of VERSION and the load balancer's
	@SLIPWAY_SOURCE=$$PWD scripts/prerequisites as-root bin/slipway image build --kubernetes-version $(VERSION)

test: build ## run the tests that need no container engine
	@export SLIPWAY_SOURCE=$$PWD
	export SLIPWAY_TEST_BINARIES=$$(bin/slipway image binaries --kubernetes-version $(VERSION))
	go test ./...
	for module in $(MODULES); do (cd $$module && go test ./...); done
	(cd test/upstream && go test -count=1 ./...) # it reads deploy/crds, which is none of its module's files to Go's cache

check: ## lint, tidiness, generated files, goldens and laws
	@scripts/prerequisites go
	test/lint/check.sh

gen: ## write again what is generated
	@scripts/prerequisites go
	api/gen/run.sh
	go test ./cmd/slipway -update

e2e: images test-containers test-e2e ## run the tests that make containers (20 minutes)

# FROM is the version that is upgraded to VERSION; tests that upgrade take the two versions of examples/talk.
e2e-long: export SLIPWAY_E2E_UPGRADE := 1
e2e-long: images from-images test-containers test-e2e ## the same, and upgrades, faults in them, and a repair of five control planes (long; not timed yet)

from-images: prerequisites build
	@SLIPWAY_SOURCE=$$PWD scripts/prerequisites as-root bin/slipway image build --kubernetes-version $(FROM)

test-containers: build
	@scripts/prerequisites tests
	export SLIPWAY_TEST_BINARIES=$$(SLIPWAY_SOURCE=$$PWD bin/slipway image binaries --kubernetes-version $(VERSION))
	SLIPWAY_TEST_DOCKER=1 go test -count=1 -timeout 20m ./providers/docker/... ./nodeimage
	if [ "$$(id -u)" = 0 ]; then
		(cd nodeimage/network && SLIPWAY_TEST_NETNS=1 go test -count=1 ./...)
	else
		echo "nodeimage/network: its tests in network namespaces need root and were left out"
	fi

# RUN chooses among the tests, SLIPWAY_E2E_KILLS and others (test/e2e/doc.go) say how.
test-e2e: build
	@SLIPWAY_TEST_E2E=1 SLIPWAY_E2E_VERSION=$(VERSION) go test -count=1 -timeout 120m -v $(if $(RUN),-run '$(RUN)') ./test/e2e

bench-quickstart: images ## time the making of a cluster against plain kubeadm; writes docs/performance.md
	@go run ./test/bench -kubernetes-version $(VERSION) -write docs/performance.md

# FROM is the version that is upgraded to VERSION, RUNS how often.
bench-upgrade: images from-images ## time growing, upgrading and repairing a cluster, and ask its API meanwhile; writes docs/performance.md
	@go run ./test/bench -mode upgrade -from-version $(FROM) -kubernetes-version $(VERSION) $(if $(RUNS),-runs $(RUNS)) -write docs/performance.md

# What is ours in the engine carries the id of the management cluster, which the data directory keeps. settings.json, which
# has it, goes last, so that a clean that was interrupted can be run again. The second home is that of .ci/run: it lies in
# .cache, which goes too, and it may be in use; e2e-ids are of management clusters of tests that .ci/run ran.
clean: ## take the clusters, the management cluster, its data and bin/ away
	@unset KUBECONFIG
	export SLIPWAY_SOURCE=$$PWD
	id() { bin/slipway status -o json | sed -n 's/.*"managementClusterID": *"\([^"]*\)".*/\1/p' | head -n 1; }
	remove() {
		filter=label=slipway.dev/management-cluster=$$1
		docker ps -aq --filter "$$filter" | xargs -r docker rm -fv >/dev/null
		docker volume ls -q --filter "$$filter" | xargs -r docker volume rm >/dev/null
		docker network ls -q --filter "$$filter" | xargs -r docker network rm >/dev/null
	}
	for home in "$(HOME_DIR)" "$$PWD/.cache/home"; do
		[ -e "$$home/settings.json" ] || continue
		export SLIPWAY_HOME=$$home
		scripts/prerequisites engine
		[ -x bin/slipway ] || go build -o bin/slipway ./cmd/slipway
		mine=$$(id)
		# Data that a slipway wrote which did not keep the id yet; where no version was recorded, nothing was ever made.
		if [ -z "$$mine" ] && grep -q kubernetesVersion "$$home/settings.json"; then
			bin/slipway up --detach >/dev/null
			mine=$$(id)
			[ -n "$$mine" ] || { echo "clean: the management cluster in $$home does not tell its id; see: bin/slipway status" >&2; exit 1; }
		fi
		bin/slipway down
		(
			record=$$home/container-engine.json # names the engine that has what the controllers made
			[ ! -e "$$record" ] || export DOCKER_HOST=$$(sed -n 's/.*"host": *"\([^"]*\)".*/\1/p' "$$record")
			[ -z "$$mine" ] || remove "$$mine"
		)
		# What is Slipway's, by name: the folder may be one that holds more. Names with a dot in front are files that were
		# being written when something was killed.
		(cd "$$home" && rm -rf lock state.json kubeconfig encryption.yaml authentication.yaml container-engine.json pki etcd logs \
			.state.json.* .settings.json.* .kubeconfig.* .encryption.yaml.* .authentication.yaml.* .container-engine.json.* && rm -f settings.json)
		rmdir "$$home" 2>/dev/null || echo "$$home holds more than Slipway's data, so it stays."
	done
	if [ -s .cache/e2e-ids ]; then
		scripts/prerequisites engine
		while read -r mine home; do
			[ ! -e "$$home/lock" ] || [ ! -x bin/slipway ] || SLIPWAY_HOME=$$home bin/slipway down </dev/null
			remove "$$mine"
		done <.cache/e2e-ids
	fi
	scripts/prerequisites stop-engine
	rm -rf bin .cache
	echo "Images and their cache stay; make clean-images removes those too."

clean-images: clean ## and also the images, and the cache they are built from
	@scripts/prerequisites engine
	docker images -q --filter reference=slipway/node --filter reference=slipway/haproxy --filter reference=slipway.dev/network | sort -u | xargs -r docker rmi -f >/dev/null
	scripts/prerequisites stop-engine
	cache=$(CACHE_DIR)
	for part in binaries base images debs build.lock; do
		[ ! -e "$$cache/$$part" ] || rm -rf "$$cache/$$part" 2>/dev/null || scripts/prerequisites as-root rm -rf "$$cache/$$part"
	done
	rm -rf .cache
	rmdir "$$cache" 2>/dev/null || true
