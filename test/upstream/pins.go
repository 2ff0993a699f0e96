// SPDX-License-Identifier: Apache-2.0

//go:build pins

package upstream

// These imports are never compiled. They keep the modules whose files the tests read in go.mod, where their versions and
// checksums are pinned.
import (
	_ "sigs.k8s.io/cluster-api/api/core/v1beta2"
	_ "sigs.k8s.io/cluster-api/test/framework/exec"
	_ "sigs.k8s.io/cluster-api/util/version"
)
