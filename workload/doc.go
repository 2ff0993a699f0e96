// SPDX-License-Identifier: Apache-2.0

// Package workload talks to workload clusters: one connection a cluster, made in
// the background from the Secret <cluster>-kubeconfig, probed, and made again when
// it is lost; a cache of the Nodes; and a stream of what changes.
//
// It owns connections and what they hold, and nothing that outlives the process. It
// never decides anything about clusters or machines, and never writes of its own
// accord: its writers, and its operator for etcd, are for the engine.
//
// # How a connection lives
//
// The first call of Reader, Writer or Probe for a cluster starts one goroutine. It
// reads the Secret, asks the API server for /readyz, fills the Node cache, and from
// then on probes every ten seconds. Whatever fails (no Secret yet, a kubeconfig that
// does not parse, a server that refuses, hangs or shows a certificate of another
// authority) is the cause that Probe and the errors tell, and is tried again every
// half second for the first three minutes, then less and less often up to every ten
// seconds. So a cluster that is just being made is found within half a second of
// its API server answering, and one that is down for a day costs little.
//
// A probe that gets no answer cuts all connections to the server: one that is half open, as
// after a load balancer that forgot it, would take the next probe down too. A failed probe
// is made again after two seconds, and five in a row end a connection.
// One already makes it look at the Secret again, because a new authority or a new
// address shows first as a failure; and from then until a probe succeeds no reader and
// no writer is given out, so that nobody waits for a server that does not answer. After
// three or more failed probes a success also makes the connection anew: by then the
// watch behind the cache may be deep in its own back-off, and a fresh list costs one
// request.
//
// A connection ends with its Cluster: the deletion is watched, and because a pass that
// began before may ask once more after it, every attempt and every probe looks whether
// the Cluster is still there.
//
// # How etcd is reached
//
// Members of etcd, and single API servers, are reached by the port-forward of the cluster's
// API server, one connection a node, kept with the link. Each look asks anew; only the
// connections and the client certificate are kept. See docs/adr/0008.
package workload
