// SPDX-License-Identifier: Apache-2.0

// Package machineset keeps as many Machines as a MachineSet asks for.
//
// It decides which Machines to make, which to remove and which to replace because a
// health check asks for it, and makes the bootstrap and infrastructure objects that they
// refer to. None is made or replaced while a preflight check holds it back: the control
// plane is being upgraded, say, or is older than the Machine would be. In Machines that
// are there it changes what needs no new Machine: labels, annotations, readiness gates,
// time-outs of the deletion, minReadySeconds and taints; labels and annotations in their
// objects too. It never changes anything else in them, and never deletes anything but
// Machines.
//
// Whether a Machine is what its MachineDeployment asks for now it says in the condition
// UpToDate.
//
// A Machine is made before the objects it refers to: it is the record of the
// intent. A crash in between leaves a Machine whose objects the next plan makes, so
// that nothing is ever without an owner.
package machineset
