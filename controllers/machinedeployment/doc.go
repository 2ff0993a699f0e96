// SPDX-License-Identifier: Apache-2.0

// Package machinedeployment keeps one MachineSet for the template of a
// MachineDeployment, with as many replicas as the MachineDeployment asks for.
//
// It decides about MachineSets only; their Machines are for the machineset
// controller. What can be changed in Machines that live on it passes on to the
// MachineSet. It does not replace Machines when the template asks for others: it says so
// in the MachineDeployment's conditions and keeps the Machines that are there.
package machinedeployment
