// SPDX-License-Identifier: Apache-2.0

// Package machine follows one Machine from its first reference to its node, and
// takes it apart again.
//
// It decides who owns a Machine's bootstrap and infrastructure objects, copies what
// these report into the Machine, finds the Machine's Node by its provider ID and
// keeps the labels and annotations that come from the Machine on it, and it decides
// in which order all of this is deleted. It never makes bootstrap or infrastructure
// objects (who makes the Machine makes them), never touches a host, and never sets
// the condition UpToDate, which belongs to the Machine's owner.
//
// # One apply for all that is stated on the Machine
//
// The finalizer, the owner, the cluster's label, spec.bootstrap.dataSecretName and
// spec.providerID go out in one server-side apply, because a field that an apply no
// longer states is taken away again. The two initialization flags of the status are
// set only once the Machine's spec shows the name and the ID: who sees a flag may
// rely on the field.
//
// # Why deletion leaves nothing behind
//
// The steps: pre-drain hooks, Node drained, volumes detached, pre-terminate hooks,
// infrastructure object gone, bootstrap object gone, Node gone, finalizer. Each step is
// read off what is there, so that a crash between any two only repeats a look. The first
// three and the Node's deletion are left out when the whole cluster goes, or its control
// plane, or the last machine of that; the hooks before the host goes never are.
//
// The infrastructure object stands for the host, so the Machine must not vanish
// before it. Three things can go wrong with "it does not exist":
//
//   - The cache is behind, and the object is there. So while a Machine is being
//     deleted, an object that the cache does not have is asked for at the server too,
//     and it is deleted like any other when it is there.
//   - The object is made after that look, by a MachineSet or a control plane that
//     decided before it saw the deletion. Such a create was planned from a cache which
//     did not show the deletion yet, and is in flight for as long as one request takes.
//     It carries the Machine as its controller owner. With the Machine gone, the
//     garbage collector of the management cluster finds an object whose only owner does
//     not exist and deletes it; the infrastructure provider, whose finalizer goes on the
//     object before a host is made, then takes down whatever it made. Should the Machine
//     still be there, the object's own event brings the Machine back to this controller.
//   - The object is somebody else's: its controller owner is another Machine (a second
//     Machine was made with the same reference). Then it is not deleted here, and while
//     both live the second Machine is blocked.
//
// When the API has no such kind (no CRD of that name, or one that serves a kind of
// another spelling) no object of it can exist, and the deletion goes on. A CRD that is
// there but follows no contract we know, or whose objects may not be listed, may have
// objects: then the deletion is blocked until somebody decides.
//
// Once the host is gone, a workload cluster that cannot be reached never holds a deletion
// up for longer than nodeDeletionTimeoutSeconds, counted from the deletion or from the last
// successful probe, whichever is later; the Node that may be left is then for the cluster's
// own node lifecycle. Before that it holds the deletion up until the time-outs for draining
// and volumes, which are unlimited unless they are set: what runs there may be all that is
// left of it. The condition Deleting says so, and by which annotation to go on without.
//
// # Draining
//
// The Node is cordoned, and then the Pods on it, the rules for them and the budgets that
// cover them are read anew for each plan, because nothing tells of their changes. What a
// Pod's turn is (plan_drainrules.go) and whether its budget lets it go (plan_budgets.go,
// which asks what the API server will ask) is decided before anything is sent; the server
// still has the last word. Pods go by eviction only: no budget is ever passed over, it is
// the Machine's time-out or annotation by which people decide to.
//
// # Taints
//
// The Node's list of taints has no field owners below it, so server-side apply cannot tell
// ours from those of others. The annotation taints-from-machine notes a taint before it is
// set and until it is off again.
package machine
