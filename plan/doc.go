// SPDX-License-Identifier: Apache-2.0

// Package plan is the vocabulary in which controllers say what they decided:
// a Plan with its Outcome, its ordered Actions and the status to show.
//
// It owns data, comparison, printing and the rules that every plan keeps. It
// never reads or writes anything, and it never asks for the time.
package plan
