// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: one file a verb, and what verbs share (finding
// the management cluster, progress, tables, the words of errors).
//
// It decides nothing about clusters: verbs write objects that a user could have
// written, and tell what controllers made of them. What is printed is computed by
// pure functions (manifests, edits of an upgrade, tree, steps, troubles, chains) from
// objects that were read; the verbs read, write and wait.
package cli
