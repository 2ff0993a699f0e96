// SPDX-License-Identifier: Apache-2.0

package dockermachine

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

func TestAddonImages(t *testing.T) {
	for name, want := range map[string]bool{
		"registry.k8s.io/kube-proxy:v1.37.1":                 true,
		"registry.k8s.io/coredns/coredns:v1.14.3":            true,
		"mirror.example:5000/kube-proxy:v1.37.1":             true,
		"mirror.example:5000/kube-proxy@sha256:0123456789ab": true,
		"registry.k8s.io/kube-apiserver:v1.37.1":             false,
		"example.org/kube-proxy-exporter:v1":                 false,
	} {
		if got := addonImages(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestPeerOf(t *testing.T) {
	machine := func(name, version string, change func(*clusterv1.Machine)) clusterv1.Machine {
		made := clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{clusterv1.MachineControlPlaneLabel: ""}}}
		made.Spec.Version = version
		made.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: kind.Group, Kind: kind.Kind, Name: name}
		made.Status.NodeRef.Name = name
		if change != nil {
			change(&made)
		}
		return made
	}
	old := machine("old", "v1.36.3", nil)
	for name, test := range map[string]struct {
		others []clusterv1.Machine
		want   string
	}{
		"none is of another version": {[]clusterv1.Machine{old, machine("b", "v1.36.3", nil)}, ""},
		"the first of equals":        {[]clusterv1.Machine{machine("c", "v1.37.1", nil), machine("b", "v1.37.1", nil)}, "b"},
		"the newest":                 {[]clusterv1.Machine{machine("b", "v1.37.1", nil), machine("c", "v1.37.2", nil)}, "c"},
		"an older one counts too":    {[]clusterv1.Machine{machine("b", "v1.35.0", nil)}, "b"},
		"without a node it waits":    {[]clusterv1.Machine{machine("b", "v1.37.1", func(m *clusterv1.Machine) { m.Status.NodeRef.Name = "" })}, ""},
		"a worker is no peer":        {[]clusterv1.Machine{machine("b", "v1.37.1", func(m *clusterv1.Machine) { m.Labels = nil })}, ""},
		"nor is one that goes":       {[]clusterv1.Machine{machine("b", "v1.37.1", func(m *clusterv1.Machine) { now := metav1.NewTime(time.Unix(1, 0)); m.DeletionTimestamp = &now })}, ""},
		"nor one of another maker":   {[]clusterv1.Machine{machine("b", "v1.37.1", func(m *clusterv1.Machine) { m.Spec.InfrastructureRef.Kind = "OtherMachine" })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if found := peerOf(test.others, &old); found != nil {
				got = found.Name
			}
			if got != test.want {
				t.Errorf("the peer is %q, want %q", got, test.want)
			}
		})
	}
}
