// SPDX-License-Identifier: Apache-2.0

// Package machinedeployment keeps one MachineSet for the template of a
// MachineDeployment, and moves the Machines over to a new one when the template, or
// spec.rollout.after, asks for others.
//
// It decides about MachineSets only; their Machines are for the machineset
// controller. What can be changed in Machines that live on it passes on to all
// MachineSets. Which set is current is told by comparing templates field by field;
// its name follows from the owner's UID and the template, so that an old cache meets a
// set that is there already instead of making a second one. How many replicas each set
// is to have is the arithmetic of machines.Roll, which counts Machines by their owner,
// whatever their labels. Old sets make no Machines any more, and are removed when they
// have none. While spec.paused is true nothing is replaced, and all sets make Machines.
package machinedeployment
