// SPDX-License-Identifier: Apache-2.0

// Package simulate is a world in memory in which the shipped controllers run: a store
// that behaves like a Kubernetes API (Store), a clock, a played infrastructure and played
// workload clusters in place of real ones (World), and a scheduler that gives each
// controller its turn in an order that is always the same (World.Run).
//
// Nothing in it is random or depends on the time of day: the same objects put in give the
// same actions, in the same order. The names of Machines follow from the UIDs of their
// owners, so what is told of objects that exist comes true to the letter; the UIDs of
// objects that are made in the world itself are invented, and what is named after them
// gets another name in reality (Action.Invented says which).
//
// It decides nothing about clusters or machines: decisions are the controllers', semantics
// of writes the engine's. The played parts do what a healthy infrastructure and kubeadm
// would do, by the provider contract and never by a provider's type. It writes nowhere but
// to its own memory.
package simulate
