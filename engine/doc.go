// SPDX-License-Identifier: Apache-2.0

// Package engine carries out plans. It gathers a snapshot by a controller's
// Observe, asks its pure Plan what to do, checks the answer, and writes it: to the
// management cluster, to a workload cluster, or through an operator to another
// system. Nothing else in Slipway writes.
//
// It never decides anything about clusters or machines: a condition about the
// domain in this package means that an action says too little.
package engine
