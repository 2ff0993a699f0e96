// SPDX-License-Identifier: Apache-2.0

// Package operations is what the controllers of the Docker provider can have done
// in the container engine: each operation as data for a plan, and the operator that
// carries it out.
//
// It never decides: an operation says all that is needed, but for the content of
// Secrets, which is read when it is used so that no plan ever holds it.
package operations
