// SPDX-License-Identifier: Apache-2.0

// Package machinehealthcheck finds Machines that are not healthy and asks for their
// remediation.
//
// It decides which Machines a MachineHealthCheck checks, how each of them is, and
// whether so many are unwell that none is to be touched. It says so on the Machines, by
// conditions, or makes remediation objects from a template. It never deletes a Machine:
// that is for the Machine's owner, which knows what its other Machines can bear.
//
// # Who checks a Machine
//
// A Machine that several MachineHealthChecks select is checked by the oldest of them, and
// by name among those of one age; the others say so, and are Blocked, because somebody
// should narrow a selector. A Machine with the annotation skip-remediation is checked by
// none and does not count; nor does one that is paused, which is left just as it is.
// What was marked on a Machine that nobody checks any more is taken back.
//
// # How a Machine is
//
// It is unhealthy, by the first of these that holds: it has the annotation
// remediate-machine; it has one of unhealthyMachineConditions for its time; its Node has
// been deleted; it has no Node nodeStartupTimeoutSeconds after it was made, its Cluster's
// infrastructure was ready and its control plane initialized, and, for a Machine of a
// control plane, its bootstrap data was made, whichever was last; its Node has one of
// unhealthyNodeConditions for its time. It is healthy when it has a Node and none of these
// begins to hold. All others are unsettled: without a Node yet, with a time limit running, or
// being deleted. A control plane holds the join of a Machine until others have joined: what
// such a Machine shows, other than of its infrastructure, counts from when its bootstrap data
// was made, too. Machine conditions are not looked at in a Machine that is being deleted,
// which changes them; such a Machine counts, and gets no marks.
//
// Not healthy are for remediation.triggerIf all that are not known to be healthy. So a
// replacement that does not come up counts against the next replacement.
//
// # Evidence
//
// Nothing but the annotation is judged before the infrastructure of the Cluster is
// provisioned. Before its control plane is initialized only the Machines of that are judged:
// by their conditions, and by the time that they take to get a Node, so that a first one that
// fails is replaced. From then on nothing is judged while the workload cluster is out of
// sight: not connected, without an answer for longer than contactGrace, or connected for less
// than contactSettle. What was judged before stands then, and nothing new is marked for
// remediation. This goes for conditions of Machines too, because many of them come over
// the same connection; those whose reason is ConnectionDown or InspectionFailed tell of
// us, not of the Machine, and never count.
//
// Time counts only as far as the cluster was in sight: what began before or while it was
// out of sight becomes unhealthy later by just as much of that silence as it lay in. A
// condition that came about during an outage thus gets its whole time limit from when the
// connection is back, and one that had lasted 20 of its 60 seconds when the connection
// went gets the other 40. What had run out before the silence has run out. After a restart
// of this process nothing is known of the time before, so everything counts from the first
// contact. The last silence is remembered, and short moments of contact do not end one.
//
// # What is written on a Machine
//
// Three conditions, each by a field manager of its own: HealthCheckSucceeded follows the
// judgement. OwnerRemediated=False is stated where there is none yet. From then on it is
// the owner's to say how far its remediation is: as soon as it has stated a condition of
// its own there, ours is given up. ExternallyRemediated=False goes with a remediation
// object. When the Machine is healthy again they are taken
// back. Where the owner has put its own words into OwnerRemediated, it is stated as True
// instead: a part of the condition would be left otherwise, which is invalid, and a request
// that was left over would be followed the next time the Machine is unwell, even if there
// are then too many.
//
// The finalizer is there for this too: a MachineHealthCheck that is deleted first takes
// back what it asked for.
package machinehealthcheck
