// SPDX-License-Identifier: Apache-2.0

// Package machineset keeps as many Machines as a MachineSet asks for.
//
// It decides which Machines to make and which to remove, and makes the bootstrap
// and infrastructure objects that they refer to. In Machines that are there it changes
// what needs no new Machine: labels, annotations, readiness gates, time-outs of the
// deletion, minReadySeconds and taints. It never changes anything else in a Machine's
// spec, nor the bootstrap and infrastructure objects once they are made, and never
// deletes anything but Machines.
//
// A Machine is made before the objects it refers to: it is the record of the
// intent. A crash in between leaves a Machine whose objects the next plan makes, so
// that nothing is ever without an owner.
package machineset
