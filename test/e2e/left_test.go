// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	dockerclient "github.com/moby/moby/client"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// inEngine are names of what one management cluster has in the container engine.
type inEngine struct{ containers, volumes, networks []string }

func (e inEngine) String() string {
	var said []string
	for what, names := range map[string][]string{"containers": e.containers, "volumes": e.volumes, "networks": e.networks} {
		if len(names) > 0 {
			said = append(said, what+" "+strings.Join(names, ", "))
		}
	}
	slices.Sort(said)
	return strings.Join(said, "; ")
}

// listEngine lists by label, and also volumes without one that our containers were seen to use.
func (m *management) listEngine(ctx context.Context) (inEngine, error) {
	var found inEngine
	ours := dockerclient.Filters{}.Add("label", containers.LabelManagementCluster+"="+m.id)
	list, err := m.engine.ContainerList(ctx, dockerclient.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return found, fmt.Errorf("list containers: %w", err)
	}
	for _, item := range list.Items {
		found.containers = append(found.containers, strings.TrimPrefix(item.Names[0], "/"))
		for _, mount := range item.Mounts {
			if mount.Name != "" {
				m.volumes.add(mount.Name)
			}
		}
	}
	volumes, err := m.engine.VolumeList(ctx, dockerclient.VolumeListOptions{})
	if err != nil {
		return found, fmt.Errorf("list volumes: %w", err)
	}
	for _, item := range volumes.Items {
		if item.Labels[containers.LabelManagementCluster] == m.id || m.volumes.has(item.Name) {
			found.volumes = append(found.volumes, item.Name)
		}
	}
	networks, err := m.engine.NetworkList(ctx, dockerclient.NetworkListOptions{Filters: ours})
	if err != nil {
		return found, fmt.Errorf("list networks: %w", err)
	}
	for _, item := range networks.Items {
		found.networks = append(found.networks, item.Name)
	}
	return found, nil
}

// sees records which volumes containers use, for nothingLeft.
func (m *management) sees() inEngine {
	m.t.Helper()
	found, err := m.listEngine(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// kinds are all kinds that a cluster has objects of.
var kinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Secret"}, {Version: "v1", Kind: "ConfigMap"},
	clusterv1.GroupVersion.WithKind("Cluster"), clusterv1.GroupVersion.WithKind("Machine"),
	clusterv1.GroupVersion.WithKind("MachineSet"), clusterv1.GroupVersion.WithKind("MachineDeployment"),
	{Group: "bootstrap.cluster.x-k8s.io", Version: "v1beta2", Kind: "KubeadmConfig"},
	{Group: "bootstrap.cluster.x-k8s.io", Version: "v1beta2", Kind: "KubeadmConfigTemplate"},
	{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Kind: "KubeadmControlPlane"},
	{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Kind: "KubeadmControlPlaneTemplate"},
	{Group: "addons.cluster.x-k8s.io", Version: "v1beta2", Kind: "ClusterResourceSet"},
	{Group: "addons.cluster.x-k8s.io", Version: "v1beta2", Kind: "ClusterResourceSetBinding"},
	{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: "DockerCluster"},
	{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: "DockerClusterTemplate"},
	{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: "DockerMachine"},
	{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: "DockerMachineTemplate"},
}

// objects lists "Kind namespace/name" of all objects, with those of the given kinds left out.
func (m *management) objects(without ...string) ([]string, error) {
	var found []string
	for _, kind := range kinds {
		if slices.Contains(without, kind.Kind) {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := m.api.List(m.t.Context(), list); err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
		for _, item := range list.Items {
			found = append(found, kind.Kind+" "+item.GetNamespace()+"/"+item.GetName())
		}
	}
	slices.Sort(found)
	return found, nil
}

// mustObjects is objects that has to succeed.
func (m *management) mustObjects() []string {
	m.t.Helper()
	found, err := m.objects()
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// expectNothingLeft waits until there is nothing in the engine, and no object but those given.
func (m *management) expectNothingLeft(before []string) {
	m.t.Helper()
	eventually(m.t, goneLimit, "nothing is left", func() string {
		now, err := m.objects()
		if err != nil {
			return err.Error()
		}
		now = slices.DeleteFunc(now, func(name string) bool { return slices.Contains(before, name) })
		left, err := m.listEngine(m.t.Context())
		if err != nil {
			return err.Error()
		}
		if len(now) == 0 && left.String() == "" {
			return ""
		}
		return fmt.Sprintf("objects: %s; %s", strings.Join(now, ", "), left)
	})
	for _, name := range before {
		kind, key, _ := strings.Cut(name, " ")
		namespace, object, _ := strings.Cut(key, "/")
		if err := m.get(kind, namespace, object); apierrors.IsNotFound(err) {
			m.t.Errorf("%s was there before and is gone", name)
		}
	}
}

func (m *management) get(kind, namespace, name string) error {
	for _, known := range kinds {
		if known.Kind == kind {
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(known)
			return m.api.Get(m.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
		}
	}
	return fmt.Errorf("no such kind: %s", kind)
}
