// SPDX-License-Identifier: Apache-2.0

// Package upstream holds our CustomResourceDefinitions against those of Cluster API, field for field. It owns the
// comparison and the list of what we add (additions.yaml); it is a Go module of its own, so that nothing of Cluster API
// gets into the modules that we ship, and it never changes a file.
//
// What upstream has and we lack, or have otherwise, is an error always. What we have and upstream lacks is an error unless
// additions.yaml declares it with a reason; an entry there that fits nothing is an error too.
package upstream
