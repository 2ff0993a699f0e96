#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes what is generated from the API types: deep-copy methods beside the types, and CustomResourceDefinitions into
# deploy/crds. Run from anywhere. The generator is pinned in go.mod beside this file; nothing else need be installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
cd "$here"
CGO_ENABLED=0 go build -trimpath -o "$tool/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen
CGO_ENABLED=0 go build -trimpath -o "$tool/bounds" ./bounds
header="$tool/header.txt"
echo '// SPDX-License-Identifier: Apache-2.0' >"$header"
cd "$here/.."
"$tool/controller-gen" object:headerFile="$header" paths=./core/...\;./bootstrap/...\;./controlplane/...\;./addons/...\;./infrastructure/...
if [ "${1:-}" = object ]; then exit 0; fi
"$tool/controller-gen" crd:crdVersions=v1,generateEmbeddedObjectMeta=true,ignoreUnexportedFields=true \
	paths=./core/...\;./bootstrap/...\;./controlplane/...\;./addons/...\;./infrastructure/... \
	output:crd:dir="$here/../../deploy/crds"
"$tool/bounds" "$here/../../deploy/crds"
