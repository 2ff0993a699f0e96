#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks everything that can be checked without running anything for real: format, lint (go vet among it), tidiness of every
# module, generated files, the rules of the house, goldens and laws. It changes nothing in the tree. Run from anywhere:
#
#   test/lint/check.sh              all of it
#   test/lint/check.sh lint tidy    only these steps (format lint tidy generated tests)
#
# Needs Go and what is in Go's module cache (or a way to fill it). Warm it takes less than two minutes on two cores; the
# first time it also builds the linter, which takes as long again.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
root=$PWD
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS | sed 's/-trimpath//') -trimpath"
export GOFLAGS

# Modules whose code is ours. The others only pin what others wrote: of them, only tidiness is checked.
ours=(. api api/gen nodeimage/network nodeimage/runtime test/upstream)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# existing keeps those of the folders given that are modules.
existing() { for folder; do [ -e "$folder/go.mod" ] && printf '%s\n' "$folder"; done; }

check_format() {
	local wrong
	wrong=$(find . -name '*.go' -not -path './.git/*' -not -path './.cache/*' -not -path './bin/*' -print0 | xargs -0 gofmt -l)
	[ -z "$wrong" ] || { printf 'not formatted (gofmt -w):\n%s\n' "$wrong"; return 1; }
}

check_lint() {
	local module code=0
	go build -modfile=test/lint/go.mod -o "$scratch/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint || return 1
	for module in $(existing "${ours[@]}"); do
		(cd "$module" && "$scratch/golangci-lint" run --config "$root/.golangci.yml" ./...) || { echo "in module $module"; code=1; }
	done
	return $code
}

check_tidy() {
	local file code=0
	while IFS= read -r -d '' file; do
		(cd "$(dirname "$file")" && go mod tidy -diff) >"$scratch/tidy" 2>&1 && continue
		printf 'not tidy: %s (go mod tidy)\n%s\n' "$file" "$(head -n 20 "$scratch/tidy")"
		code=1
	done < <(find . -name go.mod -not -path './.git/*' -not -path './.cache/*' -not -path './bin/*' -print0)
	return $code
}

# check_generated makes the generated files of a copy anew and compares.
check_generated() {
	local code=0
	mkdir "$scratch/tree"
	cp -R api deploy "$scratch/tree/"
	"$scratch/tree/api/gen/run.sh" || return 1
	diff -r -u api "$scratch/tree/api" || code=1
	diff -r -u deploy/crds "$scratch/tree/deploy/crds" || code=1
	[ $code = 0 ] || echo "generated files are stale or were edited by hand (make gen)"
	go test ./cmd/slipway || code=1 # RBAC and the dependency graph
	return $code
}

# check_tests runs goldens, laws and the tests of packages that need nothing but themselves.
check_tests() {
	local code=0
	go test ./plan/... ./contract ./conditions ./machines ./bootstrap ./credentials ./engine ./controllers/... ./deploy/... \
		./providers/docker/dockercluster ./providers/docker/dockermachine ./providers/docker/operations ./test/house || code=1
	(cd api && go test ./...) || code=1
	return $code
}

failed=()
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(format lint tidy generated tests)
for step in "${steps[@]}"; do
	declare -F "check_$step" >/dev/null || { echo "check.sh: there is no step $step; there are format lint tidy generated tests" >&2; exit 2; }
	began=$SECONDS
	if output=$("check_$step" 2>&1); then
		printf 'ok    %-10s %4ds\n' "$step" $((SECONDS - began))
	else
		printf 'FAIL  %-10s %4ds\n%s\n' "$step" $((SECONDS - began)) "$output"
		failed+=("$step")
	fi
done
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
