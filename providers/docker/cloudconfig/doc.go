// SPDX-License-Identifier: Apache-2.0

// Package cloudconfig carries out a cloud-config in a node that has no cloud-init: it turns the text into an ordered list
// of steps, the steps into one shell script, and has systemd in the node run that script.
//
// The run belongs to the node, not to whoever started it: a caller that is killed neither stops nor repeats it, and any
// later caller finds its state in files that the script keeps. Start, ReadState and Wait are the whole of it; Parse and
// Script are pure.
//
// It follows cloud-init where a container allows, and in its order of sections. What a container cannot do becomes a step
// that says so. It never skips anything silently, never reads or writes the management cluster, and never talks to Docker:
// it is given a way to run commands in the node.
package cloudconfig
