// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/etcd"
)

// workloadCluster is a played workload cluster.
type workloadCluster struct {
	key   types.NamespacedName
	world *World
	// store is its API, which answers once the cluster is initialized.
	store       *Store
	initialized bool
	// hosts are by provider ID those that have booted.
	hosts   map[string]*host
	members members
	// before and after stand around a Machine's name in the name of its Node: the provider
	// names hosts so, as the Nodes show that are there.
	before, after string
	// budgets are what the disruption budgets allow at rest, by name.
	budgets map[types.NamespacedName]int64
}

// host is a machine of a played infrastructure that has booted.
type host struct {
	name, providerID, version, address string
	controlPlane                       bool
	// node is the name of its Node, silent why it does not answer; empty when it does.
	node, silent string
	// gone is true once it has been switched off.
	gone bool
}

// components run as static pods on each control-plane host.
var components = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}

var (
	nodeKind      = corev1.SchemeGroupVersion.WithKind("Node")
	podKind       = corev1.SchemeGroupVersion.WithKind("Pod")
	secretKind    = corev1.SchemeGroupVersion.WithKind("Secret")
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	budgetKind    = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
)

// clusterOf is the workload cluster of a Cluster, made now if it has none.
func (w *World) clusterOf(owner *clusterv1.Cluster) (*workloadCluster, error) {
	key := client.ObjectKeyFromObject(owner)
	if there := w.clusters[key]; there != nil {
		return there, nil
	}
	store, err := NewStore("workload "+key.String()+" "+string(owner.UID), w.options.Scheme, w.Now, nil)
	if err != nil {
		return nil, err
	}
	made := &workloadCluster{key: key, world: w, store: store, hosts: map[string]*host{}, budgets: map[types.NamespacedName]int64{}}
	w.clusters[key] = made
	return made, nil
}

// learn takes from a Node that is there how Nodes are named.
func (c *workloadCluster) learn(h host) {
	if at := strings.Index(h.node, h.name); at >= 0 {
		c.before, c.after = h.node[:at], h.node[at+len(h.name):]
	}
}

// join moves a host one stage on: its Node registers (with an etcd member that learns, on
// a control plane), then its pods run and it is Ready (and the member votes).
func (c *workloadCluster) join(h host, known string) error {
	there := c.hosts[h.providerID]
	switch {
	case there == nil && known != "" && c.initialized:
		// It had joined before this world began, and has lost its Node since.
		return nil
	case there == nil:
		h.node = c.before + h.name + c.after
		c.hosts[h.providerID] = &h
		if !c.initialized {
			if err := c.initialize(h); err != nil {
				return err
			}
		}
		if h.controlPlane {
			c.members.add(h.node, len(c.members.list) > 0, c.key)
		}
		return c.register(&h)
	case there.silent != "":
		return nil
	default:
		return c.settle(there)
	}
}

// initialize is what kubeadm init leaves in the cluster.
func (c *workloadCluster) initialize(first host) error {
	c.initialized = true
	version := strings.TrimPrefix(first.version, "v")
	configuration := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v" + version + "\n"
	labels := map[string]string{"k8s-app": "kube-dns"}
	objects := []client.Object{
		&corev1.ConfigMap{ObjectMeta: inSystem("kubeadm-config"), Data: map[string]string{"ClusterConfiguration": configuration}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespacePublic, Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "played"}},
		&corev1.ConfigMap{ObjectMeta: inSystem("coredns"), Data: map[string]string{"Corefile": ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa\n    forward . /etc/resolv.conf\n    cache 30\n}\n"}},
		&corev1.ConfigMap{ObjectMeta: inSystem("kube-proxy"), Data: map[string]string{"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"}},
		&appsv1.DaemonSet{ObjectMeta: inSystem("kube-proxy"), Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-proxy"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-proxy"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "kube-proxy", Image: "registry.k8s.io/kube-proxy:v" + version}}},
			},
		}},
		&appsv1.Deployment{ObjectMeta: inSystem("coredns"), Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "coredns", Image: "registry.k8s.io/coredns/coredns:" + dnsVersion(version)}},
					Volumes: []corev1.Volume{{Name: "config-volume", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"},
						Items:                []corev1.KeyToPath{{Key: "Corefile", Path: "Corefile"}},
					}}}},
				},
			},
		}},
	}
	return c.make(objects...)
}

// dnsVersions are the versions of CoreDNS that kubeadm installs, by Kubernetes minor.
var dnsVersions = map[string]string{"1.34": "v1.12.1", "1.35": "v1.13.1", "1.36": "v1.14.2", "1.37": "v1.14.6"}

// dnsVersion is that of a Kubernetes version; of one that is not known here, the latest.
func dnsVersion(kubernetes string) string {
	parts := strings.SplitN(kubernetes, ".", 3)
	if known := dnsVersions[strings.Join(parts[:min(2, len(parts))], ".")]; known != "" {
		return known
	}
	return "v1.14.6"
}

func inSystem(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: name}
}

func (c *workloadCluster) make(objects ...client.Object) error {
	for _, object := range objects {
		status := statusOf(object)
		if err := c.store.Create(context.Background(), object, client.FieldOwner("kubeadm")); err != nil {
			return fmt.Errorf("play cluster %s: %w", c.key, err)
		}
		if status != nil {
			there := c.store.held(kindOf(c.store, object).GroupKind(), client.ObjectKeyFromObject(object))
			if _, err := c.store.edit(there, "kubelet", statusSubresource, func(content map[string]any) { content["status"] = status }); err != nil {
				return err
			}
		}
	}
	return nil
}

// register is a kubelet that makes its Node, which is not Ready yet.
func (c *workloadCluster) register(h *host) error {
	labels := map[string]string{corev1.LabelHostname: h.node, corev1.LabelOSStable: "linux"}
	taints := []corev1.Taint{clusterv1.NodeUninitializedTaint}
	if h.controlPlane {
		labels["node-role.kubernetes.io/control-plane"] = ""
		taints = append(taints, corev1.Taint{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule})
	}
	return c.make(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: h.node, Labels: labels},
		Spec:       corev1.NodeSpec{ProviderID: h.providerID, Taints: taints},
		Status:     nodeStatus(h, metav1.ConditionFalse, c.store.second()),
	})
}

func nodeStatus(h *host, ready metav1.ConditionStatus, now metav1.Time) corev1.NodeStatus {
	status := corev1.NodeStatus{
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: h.version, MachineID: h.name, SystemUUID: h.name, BootID: h.name, OperatingSystem: "linux", Architecture: "amd64",
			ContainerRuntimeVersion: "containerd://2", KernelVersion: "6", OSImage: "played",
		},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: h.node}, {Type: corev1.NodeInternalIP, Address: h.address}},
	}
	healthy := corev1.ConditionFalse
	if ready == metav1.ConditionUnknown {
		healthy = corev1.ConditionUnknown
	}
	for _, pressure := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		status.Conditions = append(status.Conditions, nodeCondition(pressure, healthy, now))
	}
	status.Conditions = append(status.Conditions, nodeCondition(corev1.NodeReady, corev1.ConditionStatus(ready), now))
	return status
}

func nodeCondition(conditionType corev1.NodeConditionType, status corev1.ConditionStatus, now metav1.Time) corev1.NodeCondition {
	return corev1.NodeCondition{
		Type: conditionType, Status: status, Reason: "Played", LastHeartbeatTime: now, LastTransitionTime: now,
	}
}

// settle brings up what runs on a host that has registered.
func (c *workloadCluster) settle(h *host) error {
	node := c.store.held(nodeKind.GroupKind(), types.NamespacedName{Name: h.node})
	if node == nil || isReady(node) {
		return nil
	}
	if h.controlPlane {
		c.members.promote(h.node)
		for _, component := range components {
			key := types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: component + "-" + h.node}
			if c.store.held(podKind.GroupKind(), key) != nil {
				continue
			}
			if err := c.make(staticPod(component, h, c.store.second())); err != nil {
				return err
			}
		}
	}
	_, err := c.store.edit(node, "kubelet", statusSubresource, func(content map[string]any) {
		content["status"] = plain(nodeStatus(h, metav1.ConditionTrue, c.store.second()))
	})
	return err
}

func staticPod(component string, h *host, now metav1.Time) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: component + "-" + h.node,
			Labels:          map[string]string{"component": component, "tier": "control-plane"},
			Annotations:     map[string]string{corev1.MirrorPodAnnotationKey: "played", "kubernetes.io/config.source": "file"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: h.node, UID: types.UID("node-" + h.node)}},
		},
		Spec: corev1.PodSpec{NodeName: h.node, Containers: []corev1.Container{{Name: component, Image: "registry.k8s.io/" + component + ":" + h.version}}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: component, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
			}},
		},
	}
}

// lose is a host that is switched off: its Node falls silent, and its member with it.
func (c *workloadCluster) lose(providerID string) {
	h := c.hosts[providerID]
	if h == nil || h.gone {
		return
	}
	h.gone, h.silent = true, "its host is gone"
	c.members.down(h.node)
	c.world.beats++
}

// play gives the workload cluster's own controllers one turn: pods of Nodes that are gone
// are removed, tokens are signed, evicted pods have found another place.
func (c *workloadCluster) play() error {
	for _, pod := range c.store.All(podKind.GroupKind()) {
		node, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName")
		if node != "" && c.store.held(nodeKind.GroupKind(), types.NamespacedName{Name: node}) == nil {
			c.store.remove(pod)
		}
	}
	if err := c.silence(); err != nil {
		return err
	}
	for _, budget := range c.store.All(budgetKind.GroupKind()) {
		rest, known := c.budgets[client.ObjectKeyFromObject(budget)]
		now, _, _ := unstructured.NestedInt64(budget.Object, "status", "disruptionsAllowed")
		if !known || now == rest {
			continue
		}
		if _, err := c.store.edit(budget, "disruption-controller", statusSubresource, func(content map[string]any) {
			_ = unstructured.SetNestedField(content, rest, "status", "disruptionsAllowed")
		}); err != nil {
			return err
		}
	}
	return c.signTokens()
}

// silence marks the Nodes whose host is off.
func (c *workloadCluster) silence() error {
	for _, node := range c.store.All(nodeKind.GroupKind()) {
		id, _, _ := unstructured.NestedString(node.Object, "spec", "providerID")
		h := c.hosts[id]
		if h == nil || !h.gone || !isReady(node) {
			continue
		}
		if _, err := c.store.edit(node, "node-controller", statusSubresource, func(content map[string]any) {
			content["status"] = plain(nodeStatus(h, metav1.ConditionUnknown, c.store.second()))
		}); err != nil {
			return err
		}
	}
	return nil
}

// signTokens is Kubernetes' signer of the public information: a joining machine trusts the
// cluster by the signature that its token made.
func (c *workloadCluster) signTokens() error {
	information := c.store.held(configMapKind.GroupKind(), types.NamespacedName{Namespace: metav1.NamespacePublic, Name: "cluster-info"})
	if information == nil {
		return nil
	}
	data := map[string]any{}
	if config, found, _ := unstructured.NestedString(information.Object, "data", "kubeconfig"); found {
		data["kubeconfig"] = config
	}
	for _, secret := range c.store.All(secretKind.GroupKind()) {
		if id, is := strings.CutPrefix(secret.GetName(), "bootstrap-token-"); is && secret.GetNamespace() == metav1.NamespaceSystem {
			data["jws-kubeconfig-"+id] = "played"
		}
	}
	_, err := c.store.edit(information, "bootstrap-signer", "", func(content map[string]any) { content["data"] = data })
	return err
}

func isReady(node *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(node.Object, "status", "conditions")
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok && fields["type"] == string(corev1.NodeReady) {
			return fields["status"] == "True"
		}
	}
	return false
}

// view is what the members say to somebody who asks those on the Nodes named.
func (c *workloadCluster) view(nodes []string) etcd.View {
	return c.members.view(nodes)
}
