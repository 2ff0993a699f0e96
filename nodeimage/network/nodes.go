// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// watchNodes returns the store of all Node objects and the controller that fills it once it is run. changed is
// called after a change to something that matters to the agent, from one goroutine; a heartbeat is none.
//
// Through an outage of the API server the store keeps what it last knew; after it, it is brought up to date by
// a new list, so that what came and went meanwhile is missed by nobody.
func watchNodes(client *rest.RESTClient, changed func()) (cache.Store, cache.Controller) {
	return cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client, "nodes", metav1.NamespaceAll, fields.Everything()),
		ObjectType:    &corev1.Node{},
		Transform:     func(obj any) (any, error) { return trimmed(obj), nil },
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			DeleteFunc: func(any) { changed() },
			UpdateFunc: func(before, after any) {
				if !reflect.DeepEqual(relevant(before), relevant(after)) {
					changed()
				}
			},
		},
	})
}

// trimmed drops what the agent does not read, which is nearly all of a Node, before it is kept in memory.
func trimmed(obj any) any {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return obj
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, CreationTimestamp: n.CreationTimestamp,
		},
		Spec:   corev1.NodeSpec{PodCIDR: n.Spec.PodCIDR, PodCIDRs: n.Spec.PodCIDRs},
		Status: corev1.NodeStatus{Addresses: n.Status.Addresses},
	}
}

// relevant is a trimmed node without what changes by itself.
func relevant(obj any) any {
	n, ok := trimmed(obj).(*corev1.Node)
	if !ok {
		return obj
	}
	n.ResourceVersion = ""
	return n
}

// parseNode reads a Node object. What cannot be read is left out and told in a sentence of problems.
func parseNode(n *corev1.Node) (out node, problems []string) {
	out = node{Name: n.Name, UID: string(n.UID), Created: n.CreationTimestamp.Time}
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 && n.Spec.PodCIDR != "" {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			problems = append(problems, fmt.Sprintf("node %s: spec.podCIDRs holds %q, which is no address range: delete the Node object and let it register again", n.Name, s))
			continue
		}
		out.PodCIDRs = append(out.PodCIDRs, p.Masked())
	}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		ip, err := netip.ParseAddr(a.Address)
		if err != nil {
			problems = append(problems, fmt.Sprintf("node %s: InternalIP %q is no address: correct its kubelet's --node-ip", n.Name, a.Address))
			continue
		}
		out.Addresses = append(out.Addresses, ip.Unmap())
	}
	return out, problems
}

// parseNodes reads all Node objects of a store.
func parseNodes(store cache.Store) (nodes []node, problems []string) {
	for _, obj := range store.List() {
		if n, ok := obj.(*corev1.Node); ok {
			parsed, wrong := parseNode(n)
			nodes = append(nodes, parsed)
			problems = append(problems, wrong...)
		}
	}
	return nodes, problems
}
