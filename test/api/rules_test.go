// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	sigsyaml "sigs.k8s.io/yaml"
)

// base holds one valid object of each kind that the cases change.
const base = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: base}
spec:
  clusterNetwork:
    pods: {cidrBlocks: [10.244.0.0/16, "fd00:10:244::/56"]}
    services: {cidrBlocks: [10.96.0.0/16]}
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerCluster, name: base}
  controlPlaneRef: {apiGroup: controlplane.cluster.x-k8s.io, kind: KubeadmControlPlane, name: base}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata: {name: base}
spec:
  clusterName: base
  version: v1.37.1
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerMachine, name: base}
  bootstrap:
    configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfig, name: base}
  taints:
  - {key: example.com/gpu, effect: NoSchedule, propagation: Always}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineSet
metadata: {name: base}
spec:
  clusterName: base
  selector: {matchLabels: {pool: a}}
  template:
    metadata: {labels: {pool: a}}
    spec:
      clusterName: base
      version: v1.37.1
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerMachineTemplate, name: base}
      bootstrap:
        configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: base}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata: {name: base}
spec:
  clusterName: base
  selector: {matchLabels: {pool: a}}
  template:
    metadata: {labels: {pool: a}}
    spec:
      clusterName: base
      version: v1.37.1
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerMachineTemplate, name: base}
      bootstrap:
        configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: base}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDrainRule
metadata: {name: base}
spec:
  drain: {behavior: Drain, order: 1}
  machines: [{selector: {matchLabels: {pool: a}}, clusterSelector: {matchLabels: {stage: production}}}]
  pods: [{selector: {matchLabels: {app: db}}, namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}}]
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata: {name: base}
spec:
  clusterName: base
  selector: {matchLabels: {pool: a}}
  checks:
    unhealthyNodeConditions: [{type: Ready, status: "False", timeoutSeconds: 60}, {type: Ready, status: Unknown, timeoutSeconds: 60}]
    unhealthyMachineConditions: [{type: InfrastructureReady, status: "False", timeoutSeconds: 0}]
  remediation:
    triggerIf: {unhealthyLessThanOrEqualTo: 40%, unhealthyInRange: "[1-3]"}
    templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1, kind: RebootTemplate, name: reboot}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: KubeadmControlPlane
metadata: {name: base}
spec:
  replicas: 3
  version: v1.36.3
  machineTemplate:
    spec:
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DockerMachineTemplate, name: base}
  kubeadmConfigSpec:
    clusterConfiguration:
      certificatesDir: /etc/kubernetes/pki
      caCertificateValidityPeriodDays: 3650
      etcd: {local: {dataDir: /var/lib/etcd}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: KubeadmControlPlaneTemplate
metadata: {name: base}
spec: {template: {spec: {kubeadmConfigSpec: {preKubeadmCommands: ["true"]}}}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfig
metadata: {name: base}
spec:
  files:
  - {path: /a, content: a}
  - {path: /b, contentFrom: {secret: {name: s, key: k}}}
  users:
  - {name: u, passwd: x}
  initConfiguration:
    bootstrapTokens: [{token: abcdef.0123456789abcdef}]
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfigTemplate
metadata: {name: base}
spec: {template: {spec: {preKubeadmCommands: ["true"]}}}
---
apiVersion: addons.cluster.x-k8s.io/v1beta2
kind: ClusterResourceSet
metadata: {name: base}
spec:
  clusterSelector: {matchLabels: {cni: default}}
  resources: [{kind: ConfigMap, name: base}]
---
apiVersion: addons.cluster.x-k8s.io/v1beta2
kind: ClusterResourceSetBinding
metadata: {name: base}
spec: {clusterName: base}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DockerMachineTemplate
metadata: {name: base}
spec: {template: {spec: {customImage: "slipway/node:v1.37.1"}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DockerClusterTemplate
metadata: {name: base}
spec: {template: {spec: {failureDomains: [{name: fd1, controlPlane: true}]}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DockerMachine
metadata: {name: base}
spec: {customImage: "slipway/node:v1.37.1", extraMounts: [{hostPath: /a, containerPath: /b}]}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DockerCluster
metadata: {name: base}
spec: {failureDomains: [{name: a}]}
`

// A ruleCase changes the base object of one kind. The result is created, or, with update, the base object, with the changes
// in from, is created and then updated to the result.
type ruleCase struct {
	name   string
	kind   string
	update bool
	from   []string // as set, before the object is created that is to be updated
	set    []string // path=value, the value as YAML; an empty value removes; numbers in a path are places in lists
	want   string   // part of the refusal; empty: accepted
}

var ruleCases = []ruleCase{
	{name: "Cluster with a long name", kind: "Cluster", set: []string{"metadata.name=" + strings.Repeat("a", 64)}, want: "choose one of at most 63 characters"},
	{name: "Cluster with nothing", kind: "Cluster", set: []string{"spec.infrastructureRef=", "spec.controlPlaneRef="}, want: "a Cluster needs at least one of infrastructureRef, controlPlaneRef and topology"},
	{name: "Cluster with infrastructure only", kind: "Cluster", set: []string{"spec.controlPlaneRef="}},
	{name: "Cluster loses controlPlaneRef", kind: "Cluster", update: true, set: []string{"spec.controlPlaneRef="}, want: "controlPlaneRef cannot be removed"},
	{name: "Cluster loses infrastructureRef", kind: "Cluster", update: true, set: []string{"spec.infrastructureRef="}, want: "infrastructureRef cannot be removed"},
	{name: "Cluster loses topology", kind: "Cluster", update: true, from: []string{"spec.topology={classRef: {name: c}, version: v1.37.1}"}, set: []string{"spec.topology="}, want: "topology cannot be removed"},
	{name: "Cluster gains an endpoint", kind: "Cluster", update: true, set: []string{"spec.controlPlaneEndpoint={host: a, port: 6443}"}},
	{name: "Cluster with a bad pod network", kind: "Cluster", set: []string{"spec.clusterNetwork.pods.cidrBlocks=[10.244.0.0]"}, want: "not a network in CIDR notation"},
	{name: "Cluster with a bad service network", kind: "Cluster", set: []string{"spec.clusterNetwork.services.cidrBlocks=[10.300.0.0/16]"}, want: "not a network in CIDR notation"},
	{name: "Cluster with topology", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, variables: [{name: a, value: {b: [1, two]}}]}"}},
	{name: "Cluster with a bad topology version", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: latest}"}, want: "not a version of Kubernetes"},
	{name: "Cluster with a reserved condition checked", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, controlPlane: {healthCheck: {checks: {unhealthyMachineConditions: [{type: Ready, status: \"False\", timeoutSeconds: 5}]}}}}"}, want: "cannot be checked"},
	{name: "Cluster with a bad key in its topology", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, controlPlane: {metadata: {labels: {-a: b}}}}"}, want: "the key of one of the labels is not valid"},
	{name: "Cluster whose machines have 0 seconds for a node", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, controlPlane: {healthCheck: {checks: {nodeStartupTimeoutSeconds: 0}}}}"}},
	{name: "Cluster whose machines have 29 seconds for a node", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, controlPlane: {healthCheck: {checks: {nodeStartupTimeoutSeconds: 29}}}}"}, want: "set nodeStartupTimeoutSeconds to 30 or more"},
	{name: "Cluster whose machines have 30 seconds for a node", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, controlPlane: {healthCheck: {checks: {nodeStartupTimeoutSeconds: 30}}}}"}},
	{name: "Cluster with workers that cannot move", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, rollout: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}}}]}}"}, want: "no Machine could ever be replaced"},
	{name: "Cluster with workers that move by removing", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, rollout: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}}}]}}"}},
	{name: "Cluster with an autoscaler and replicas", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, replicas: 1, metadata: {annotations: {cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size: \"1\"}}}]}}"}, want: "take replicas out, or the annotations"},
	{name: "Cluster with an autoscaler at its most and replicas", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, replicas: 1, metadata: {annotations: {cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size: \"1\"}}}]}}"}, want: "take replicas out, or the annotations"},
	{name: "Cluster with an autoscaler", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, metadata: {annotations: {cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size: \"1\"}}}]}}"}},
	{name: "Cluster with replicas", kind: "Cluster", set: []string{"spec.topology={classRef: {name: c}, version: v1.37.1, workers: {machineDeployments: [{class: w, name: w, replicas: 1}]}}"}},

	{name: "Machine without bootstrap data", kind: "Machine", set: []string{"spec.bootstrap={}"}, want: "give bootstrap.configRef, or bootstrap.dataSecretName"},
	{name: "Machine with a data secret", kind: "Machine", set: []string{"spec.bootstrap={dataSecretName: s}"}},
	{name: "Machine changes its cluster", kind: "Machine", update: true, set: []string{"spec.clusterName=other"}, want: "clusterName cannot be changed"},
	{name: "Machine version without v", kind: "Machine", set: []string{"spec.version=1.37.1"}, want: "such as v1.37.1"},
	{name: "Machine version of two numbers", kind: "Machine", set: []string{"spec.version=v1.37"}, want: "such as v1.37.1"},
	{name: "Machine version with a suffix", kind: "Machine", set: []string{"spec.version=v1.38.0-alpha.1+build.5"}},
	{name: "Machine version with an empty suffix", kind: "Machine", set: []string{"spec.version=v1.38.0-"}, want: "such as v1.37.1"},
	{name: "Machine version with a suffix that is not semantic", kind: "Machine", set: []string{"spec.version=v1.38.0+build_5"}, want: "such as v1.37.1"},
	{name: "Machine with a taint of controllers", kind: "Machine", set: []string{"spec.taints.0.key=node.kubernetes.io/not-ready"}, want: "are set by controllers"},
	{name: "Machine out of service", kind: "Machine", set: []string{"spec.taints.0.key=node.kubernetes.io/out-of-service"}},
	{name: "Machine with our own taint", kind: "Machine", set: []string{"spec.taints.0.key=node.cluster.x-k8s.io/uninitialized"}, want: "are set by controllers"},
	{name: "Machine with our other taint", kind: "Machine", set: []string{"spec.taints.0.key=node.cluster.x-k8s.io/outdated-revision"}, want: "are set by controllers"},
	{name: "Machine with a taint near our own", kind: "Machine", set: []string{"spec.taints.0.key=node.cluster.x-k8s.io/maintenance"}},
	{name: "Machine with the old master taint", kind: "Machine", set: []string{"spec.taints.0.key=node-role.kubernetes.io/master"}, want: "choose another key"},
	{name: "Machine with the control-plane taint", kind: "Machine", set: []string{"spec.taints.0.key=node-role.kubernetes.io/control-plane"}},
	{name: "Machine with a long taint", kind: "Machine", set: []string{"spec.taints.0.key=example.com/" + strings.Repeat("a", 63)}},
	{name: "Machine with a taint that is too long", kind: "Machine", set: []string{"spec.taints.0.key=example.com/" + strings.Repeat("a", 64)}, want: "use at most 253 characters before its"},

	{name: "MachineSet with negative replicas", kind: "MachineSet", set: []string{"spec.replicas=-1"}, want: "greater than or equal to 0"},
	{name: "MachineSet with no replicas", kind: "MachineSet", set: []string{"spec.replicas=0"}},
	{name: "MachineSet selector does not match", kind: "MachineSet", set: []string{"spec.template.metadata.labels={pool: b}"}, want: "put every label of selector.matchLabels into template.metadata.labels"},
	{name: "MachineSet with the selector pool Is [a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Is, values: [a]}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineSet with the selector pool In", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineSet with the selector tier NotIn []", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: []}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineSet with the selector pool Exists [a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Exists, values: [a]}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineSet selects by a key that cannot be", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: a b, operator: DoesNotExist}]}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineSet selects by a value that cannot be", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: [-a]}]}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineSet selects by a label that cannot be", kind: "MachineSet", set: []string{"spec.selector={matchLabels: {pool: a b}}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineSet selects by cluster", kind: "MachineSet", set: []string{"spec.selector.matchLabels={pool: a, cluster.x-k8s.io/cluster-name: base}"}},
	{name: "MachineSet selects by another cluster", kind: "MachineSet", set: []string{"spec.selector.matchLabels={pool: a, cluster.x-k8s.io/cluster-name: other}"}, want: "cluster.x-k8s.io/cluster-name, which is clusterName on every Machine"},
	{name: "MachineSet selects by another label of the template", kind: "MachineSet", set: []string{"spec.selector.matchLabels={pool: a, tier: b}"}, want: "put every label of selector.matchLabels into template.metadata.labels"},
	{name: "MachineSet selects by expression pool In [b a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In, values: [b, a]}]}"}},
	{name: "MachineSet selects by expression pool In [b]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In, values: [b]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression pool NotIn [b]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: NotIn, values: [b]}]}"}},
	{name: "MachineSet selects by expression pool NotIn [a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: NotIn, values: [a]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression tier NotIn [a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}"}},
	{name: "MachineSet selects by expression tier In [a]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: In, values: [a]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression pool Exists", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Exists}]}"}},
	{name: "MachineSet selects by expression tier Exists", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: Exists}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression tier DoesNotExist", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: DoesNotExist}]}"}},
	{name: "MachineSet selects by expression pool DoesNotExist", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: DoesNotExist}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression cluster.x-k8s.io/cluster-name In [base]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: In, values: [base]}]}"}},
	{name: "MachineSet selects by expression cluster.x-k8s.io/cluster-name In [other]", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: In, values: [other]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineSet selects by expression cluster.x-k8s.io/cluster-name Exists", kind: "MachineSet", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: Exists}]}"}},
	{name: "MachineSet changes its selector", kind: "MachineSet", update: true, set: []string{"spec.selector.matchLabels={pool: b}", "spec.template.metadata.labels={pool: b}"}, want: "selector cannot be changed"},
	{name: "MachineSet changes its cluster", kind: "MachineSet", update: true, set: []string{"spec.clusterName=b", "spec.template.spec.clusterName=b"}, want: "clusterName cannot be changed"},
	{name: "MachineSet with names like w.1-{{ .random }}", kind: "MachineSet", set: []string{"spec.machineNaming={template: \"w.1-{{ .random }}\"}"}},
	{name: "MachineSet with names like W-{{ .random }}", kind: "MachineSet", set: []string{"spec.machineNaming={template: \"W-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineSet with names like w_{{ .random }}", kind: "MachineSet", set: []string{"spec.machineNaming={template: \"w_{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineSet with names like -{{ .random }}", kind: "MachineSet", set: []string{"spec.machineNaming={template: \"-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineSet with names like {{ .random }}-", kind: "MachineSet", set: []string{"spec.machineNaming={template: \"{{ .random }}-\"}"}, want: "outside of {{ }} use lower-case letters"},

	{name: "MachineDeployment with a long name", kind: "MachineDeployment", set: []string{"metadata.name=" + strings.Repeat("a", 64)}, want: "choose one of at most 63 characters"},
	{name: "MachineDeployment with another cluster in its template", kind: "MachineDeployment", set: []string{"spec.template.spec.clusterName=b"}, want: "has to be the same as clusterName"},
	{name: "MachineDeployment selector does not match", kind: "MachineDeployment", set: []string{"spec.template.metadata="}, want: "put every label of selector.matchLabels into template.metadata.labels"},
	{name: "MachineDeployment with the selector pool Is [a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Is, values: [a]}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineDeployment with the selector pool In", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineDeployment with the selector tier NotIn []", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: []}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineDeployment with the selector pool Exists [a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Exists, values: [a]}]}"}, want: "one of selector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "MachineDeployment selects by a key that cannot be", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: a b, operator: DoesNotExist}]}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineDeployment selects by a value that cannot be", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: [-a]}]}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineDeployment selects by a label that cannot be", kind: "MachineDeployment", set: []string{"spec.selector={matchLabels: {pool: a b}}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineDeployment with an empty selector", kind: "MachineDeployment", set: []string{"spec.selector={matchLabels: null}", "spec.template.metadata="}},
	{name: "MachineDeployment selects by cluster", kind: "MachineDeployment", set: []string{"spec.selector.matchLabels={pool: a, cluster.x-k8s.io/cluster-name: base}"}},
	{name: "MachineDeployment selects by another cluster", kind: "MachineDeployment", set: []string{"spec.selector.matchLabels={pool: a, cluster.x-k8s.io/cluster-name: other}"}, want: "cluster.x-k8s.io/cluster-name, which is clusterName on every Machine"},
	{name: "MachineDeployment selects by another label of the template", kind: "MachineDeployment", set: []string{"spec.selector.matchLabels={pool: a, tier: b}"}, want: "put every label of selector.matchLabels into template.metadata.labels"},
	{name: "MachineDeployment selects by expression pool In [b a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In, values: [b, a]}]}"}},
	{name: "MachineDeployment selects by expression pool In [b]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: In, values: [b]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression pool NotIn [b]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: NotIn, values: [b]}]}"}},
	{name: "MachineDeployment selects by expression pool NotIn [a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: NotIn, values: [a]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression tier NotIn [a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}"}},
	{name: "MachineDeployment selects by expression tier In [a]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: In, values: [a]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression pool Exists", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Exists}]}"}},
	{name: "MachineDeployment selects by expression tier Exists", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: Exists}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression tier DoesNotExist", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: tier, operator: DoesNotExist}]}"}},
	{name: "MachineDeployment selects by expression pool DoesNotExist", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: DoesNotExist}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression cluster.x-k8s.io/cluster-name In [base]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: In, values: [base]}]}"}},
	{name: "MachineDeployment selects by expression cluster.x-k8s.io/cluster-name In [other]", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: In, values: [other]}]}"}, want: "the entry of selector.matchExpressions that they do not fit"},
	{name: "MachineDeployment selects by expression cluster.x-k8s.io/cluster-name Exists", kind: "MachineDeployment", set: []string{"spec.selector={matchExpressions: [{key: cluster.x-k8s.io/cluster-name, operator: Exists}]}"}},
	{name: "MachineDeployment changes its selector", kind: "MachineDeployment", update: true, set: []string{"spec.selector.matchLabels={}"}, want: "selector cannot be changed"},
	{name: "MachineDeployment changes its cluster", kind: "MachineDeployment", update: true, set: []string{"spec.clusterName=b", "spec.template.spec.clusterName=b"}, want: "clusterName cannot be changed"},
	{name: "MachineDeployment changes its template", kind: "MachineDeployment", update: true, set: []string{"spec.template.spec.version=v1.38.0"}},
	{name: "MachineDeployment that cannot move", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}}"}, want: "no Machine could ever be replaced"},
	{name: "MachineDeployment that cannot move, by default", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0%}}}"}, want: "no Machine could ever be replaced"},
	{name: "MachineDeployment that moves by removing", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 25%}}}"}},
	{name: "MachineDeployment with a bad surge", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {rollingUpdate: {maxSurge: many}}}"}, want: "give maxSurge as a number"},
	{name: "MachineDeployment with a negative unavailability", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {rollingUpdate: {maxUnavailable: -1}}}"}, want: "give maxUnavailable as a number"},
	{name: "MachineDeployment with a bad remediation", kind: "MachineDeployment", set: []string{"spec.remediation={maxInFlight: some}"}, want: "give maxInFlight as a number"},
	{name: "MachineDeployment with names that repeat", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: worker}"}, want: "use {{ .random }} in the template"},
	{name: "MachineDeployment with names", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"w-{{ .random }}\"}"}},
	{name: "MachineDeployment with names like w.1-{{ .random }}", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"w.1-{{ .random }}\"}"}},
	{name: "MachineDeployment with names like W-{{ .random }}", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"W-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineDeployment with names like w_{{ .random }}", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"w_{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineDeployment with names like -{{ .random }}", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineDeployment with names like {{ .random }}-", kind: "MachineDeployment", set: []string{"spec.machineNaming={template: \"{{ .random }}-\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "MachineDeployment with the control-plane taint", kind: "MachineDeployment", set: []string{"spec.template.spec.taints=[{key: node-role.kubernetes.io/control-plane, effect: NoSchedule, propagation: Always}]"}, want: "is for machines of the control plane"},
	{name: "MachineDeployment with a bad version", kind: "MachineDeployment", set: []string{"spec.template.spec.version=v1.37"}, want: "such as v1.37.1"},

	{name: "KubeadmControlPlane of two", kind: "KubeadmControlPlane", set: []string{"spec.replicas=2"}, want: "replicas has to be odd"},
	{name: "KubeadmControlPlane of two, etcd elsewhere", kind: "KubeadmControlPlane", set: []string{"spec.replicas=2", "spec.kubeadmConfigSpec.clusterConfiguration.etcd={external: {endpoints: [\"https://e:2379\"], caFile: /c, certFile: /d, keyFile: /e}}"}},
	{name: "KubeadmControlPlane of none", kind: "KubeadmControlPlane", set: []string{"spec.replicas=0"}, want: "needs at least one machine"},
	{name: "KubeadmControlPlane scaled to four", kind: "KubeadmControlPlane", update: true, set: []string{"spec.replicas=4"}, want: "replicas has to be odd"},
	{name: "KubeadmControlPlane scaled to five", kind: "KubeadmControlPlane", update: true, set: []string{"spec.replicas=5"}},
	{name: "KubeadmControlPlane without surge", kind: "KubeadmControlPlane", set: []string{"spec.rollout={strategy: {rollingUpdate: {maxSurge: 0}}}"}},
	{name: "KubeadmControlPlane of one without surge", kind: "KubeadmControlPlane", set: []string{"spec.replicas=1", "spec.rollout={strategy: {rollingUpdate: {maxSurge: 0}}}"}, want: "needs at least 3 replicas"},
	{name: "KubeadmControlPlane with too much surge", kind: "KubeadmControlPlane", set: []string{"spec.rollout={strategy: {rollingUpdate: {maxSurge: 2}}}"}, want: "maxSurge of a control plane is 0 or 1"},
	{name: "KubeadmControlPlane rolls too close to expiry", kind: "KubeadmControlPlane", set: []string{"spec.rollout={before: {certificatesExpiryDays: 3}}"}, want: "greater than or equal to 7"},
	{name: "KubeadmControlPlane with a bad version", kind: "KubeadmControlPlane", set: []string{"spec.version=v1.36"}, want: "such as v1.37.1"},
	{name: "KubeadmControlPlane goes up a patch", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.36.4"}},
	{name: "KubeadmControlPlane goes up a minor", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.37.1"}},
	{name: "KubeadmControlPlane goes up two minors", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.38.0"}, want: "upgrade to the next minor first"},
	{name: "KubeadmControlPlane goes down a patch", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.36.2"}, want: "cannot go back to an older version"},
	{name: "KubeadmControlPlane goes down a minor", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.35.9"}, want: "cannot go back to an older version"},
	{name: "KubeadmControlPlane goes down to a release candidate", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.36.3-rc.0"}, want: "cannot go back to an older version"},
	{name: "KubeadmControlPlane goes up two minors to an alpha", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v1.38.0-alpha.1"}, want: "upgrade to the next minor first"},
	{name: "KubeadmControlPlane goes up a major", kind: "KubeadmControlPlane", update: true, set: []string{"spec.version=v2.0.0"}, want: "upgrade to the next minor first"},
	{name: "KubeadmControlPlane changes certificatesDir", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.certificatesDir=/pki"}, want: "clusterConfiguration.certificatesDir cannot be changed"},
	{name: "KubeadmControlPlane loses certificatesDir", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.certificatesDir="}, want: "clusterConfiguration.certificatesDir cannot be changed"},
	{name: "KubeadmControlPlane changes the life of CAs", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.caCertificateValidityPeriodDays=100"}, want: "caCertificateValidityPeriodDays cannot be changed"},
	{name: "KubeadmControlPlane with certificates that outlive their CA", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 501, caCertificateValidityPeriodDays: 500}"}, want: "no certificate outlives the CA that signs it"},
	{name: "KubeadmControlPlane with certificates as old as their CA", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 500, caCertificateValidityPeriodDays: 500}"}},
	{name: "KubeadmControlPlane with certificates and the default CA", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 1095}"}},
	{name: "KubeadmControlPlane rolls every machine at once", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 30}", "spec.rollout={before: {certificatesExpiryDays: 30}}"}, want: "every new machine would be due for replacement at once"},
	{name: "KubeadmControlPlane rolls before the end", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 31}", "spec.rollout={before: {certificatesExpiryDays: 30}}"}},
	{name: "KubeadmControlPlane rolls before the end, by default", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={imageRepository: r}", "spec.rollout={before: {certificatesExpiryDays: 30}}"}},
	{name: "KubeadmControlPlane waits for init only", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlane waits for join only", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlane waits longer for join", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}", "spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 61}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlane waits equally long", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}", "spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}},
	{name: "KubeadmControlPlane with CoreDNS of no version", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={dns: {imageTag: latest}}"}, want: "has to be a version of CoreDNS"},
	{name: "KubeadmControlPlane with CoreDNS of a version", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration={dns: {imageTag: v1.14.2_custom.1}}"}},
	{name: "KubeadmControlPlane with a long taint", kind: "KubeadmControlPlane", set: []string{"spec.machineTemplate.spec.taints=[{key: example.com/" + strings.Repeat("a", 64) + ", effect: NoSchedule, propagation: Always}]"}, want: "use at most 253 characters before its"},
	{name: "KubeadmControlPlane gains an endpoint", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint=a:6443"}, want: "controlPlaneEndpoint cannot be changed"},
	{name: "KubeadmControlPlane changes flags", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.scheduler={extraArgs: [{name: profiling, value: \"false\"}]}"}},
	{name: "KubeadmControlPlane moves etcd", kind: "KubeadmControlPlane", update: true, set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.etcd={external: {endpoints: [\"https://e:2379\"], caFile: /c, certFile: /d, keyFile: /e}}"}, want: "etcd cannot be moved"},
	{name: "KubeadmControlPlane with etcd twice", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.etcd.external={endpoints: [\"https://e:2379\"], caFile: /c, certFile: /d, keyFile: /e}"}, want: "etcd is either local or external"},
	{name: "KubeadmControlPlane with names that repeat", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: cp}"}, want: "use {{ .random }} in the template"},
	{name: "KubeadmControlPlane with names like w.1-{{ .random }}", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: \"w.1-{{ .random }}\"}"}},
	{name: "KubeadmControlPlane with names like W-{{ .random }}", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: \"W-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlane with names like w_{{ .random }}", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: \"w_{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlane with names like -{{ .random }}", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: \"-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlane with names like {{ .random }}-", kind: "KubeadmControlPlane", set: []string{"spec.machineNaming={template: \"{{ .random }}-\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlane with a bad tag", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.dns={imageTag: \"v1 14\"}"}, want: "not a tag of an image"},
	{name: "KubeadmControlPlane with a flag twice", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.clusterConfiguration.apiServer={extraArgs: [{name: v, value: \"1\"}, {name: v, value: \"2\"}]}"}, want: "a flag stands here once"},

	{name: "KubeadmControlPlaneTemplate changes", kind: "KubeadmControlPlaneTemplate", update: true, set: []string{"spec.template.spec.kubeadmConfigSpec.preKubeadmCommands=[\"false\"]"}, want: "spec.template.spec cannot be changed"},
	{name: "KubeadmControlPlaneTemplate changes labels", kind: "KubeadmControlPlaneTemplate", update: true, set: []string{"spec.template.metadata={labels: {a: b}}"}},
	{name: "KubeadmControlPlaneTemplate with certificates that outlive their CA", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 501, caCertificateValidityPeriodDays: 500}"}, want: "no certificate outlives the CA that signs it"},
	{name: "KubeadmControlPlaneTemplate with certificates as old as their CA", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 500, caCertificateValidityPeriodDays: 500}"}},
	{name: "KubeadmControlPlaneTemplate with certificates and the default CA", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 1095}"}},
	{name: "KubeadmControlPlaneTemplate rolls every machine at once", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 30}", "spec.template.spec.rollout={before: {certificatesExpiryDays: 30}}"}, want: "every new machine would be due for replacement at once"},
	{name: "KubeadmControlPlaneTemplate rolls before the end", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={certificateValidityPeriodDays: 31}", "spec.template.spec.rollout={before: {certificatesExpiryDays: 30}}"}},
	{name: "KubeadmControlPlaneTemplate rolls before the end, by default", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={imageRepository: r}", "spec.template.spec.rollout={before: {certificatesExpiryDays: 30}}"}},
	{name: "KubeadmControlPlaneTemplate waits for init only", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlaneTemplate waits for join only", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlaneTemplate waits longer for join", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}", "spec.template.spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 61}}"}, want: "the same value in initConfiguration and joinConfiguration"},
	{name: "KubeadmControlPlaneTemplate waits equally long", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.initConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}", "spec.template.spec.kubeadmConfigSpec.joinConfiguration={timeouts: {controlPlaneComponentHealthCheckSeconds: 60}}"}},
	{name: "KubeadmControlPlaneTemplate with CoreDNS of no version", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={dns: {imageTag: latest}}"}, want: "has to be a version of CoreDNS"},
	{name: "KubeadmControlPlaneTemplate with CoreDNS of a version", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.kubeadmConfigSpec.clusterConfiguration={dns: {imageTag: v1.14.2_custom.1}}"}},
	{name: "KubeadmControlPlaneTemplate with a long taint", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineTemplate={spec: {taints: [{key: example.com/" + strings.Repeat("a", 64) + ", effect: NoSchedule, propagation: Always}]}}"}, want: "use at most 253 characters before its"},
	{name: "KubeadmControlPlaneTemplate with names like w.1-{{ .random }}", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineNaming={template: \"w.1-{{ .random }}\"}"}},
	{name: "KubeadmControlPlaneTemplate with names like W-{{ .random }}", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineNaming={template: \"W-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlaneTemplate with names like w_{{ .random }}", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineNaming={template: \"w_{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlaneTemplate with names like -{{ .random }}", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineNaming={template: \"-{{ .random }}\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmControlPlaneTemplate with names like {{ .random }}-", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineNaming={template: \"{{ .random }}-\"}"}, want: "outside of {{ }} use lower-case letters"},
	{name: "KubeadmConfigTemplate changes", kind: "KubeadmConfigTemplate", update: true, set: []string{"spec.template.spec.preKubeadmCommands=[\"false\"]"}},

	{name: "KubeadmConfig with content twice", kind: "KubeadmConfig", set: []string{"spec.files.1.content=b"}, want: "content and contentFrom exclude each other"},
	{name: "KubeadmConfig with a file twice", kind: "KubeadmConfig", set: []string{"spec.files.1.path=/a"}, want: "two files have the same path"},
	{name: "KubeadmConfig with a password twice", kind: "KubeadmConfig", set: []string{"spec.users.0.passwdFrom={secret: {name: s, key: k}}"}, want: "passwd and passwdFrom exclude each other"},
	{name: "KubeadmConfig with ignition but not that format", kind: "KubeadmConfig", set: []string{"spec.ignition={containerLinuxConfig: {strict: true}}"}, want: "set format to ignition"},
	{name: "KubeadmConfig with ignition", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.ignition={containerLinuxConfig: {strict: true}}"}},
	{name: "KubeadmConfig with ignition and an inactive user", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.users=[{name: u, inactive: true}]"}, want: "users with inactive true cannot be made with format ignition"},
	{name: "KubeadmConfig with ignition and an inactive user that it can make", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.users=[{name: u, inactive: false}]"}},
	{name: "KubeadmConfig with an inactive user", kind: "KubeadmConfig", set: []string{"spec.users=[{name: u, inactive: true}]"}},
	{name: "KubeadmConfig with ignition and a zipped file", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.files=[{path: /a, content: a, encoding: gzip}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmConfig with ignition and a zipped file that it can make", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.files=[{path: /a, content: a, encoding: base64}]"}},
	{name: "KubeadmConfig with a zipped file", kind: "KubeadmConfig", set: []string{"spec.files=[{path: /a, content: a, encoding: gzip}]"}},
	{name: "KubeadmConfig with ignition and a file zipped and in base64", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.files=[{path: /a, content: a, encoding: gzip+base64}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmConfig with a file zipped and in base64", kind: "KubeadmConfig", set: []string{"spec.files=[{path: /a, content: a, encoding: gzip+base64}]"}},
	{name: "KubeadmConfig with ignition and boot commands", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.bootCommands=[\"true\"]"}, want: "bootCommands cannot be run with format ignition"},
	{name: "KubeadmConfig with boot commands", kind: "KubeadmConfig", set: []string{"spec.bootCommands=[\"true\"]"}},
	{name: "KubeadmConfig with ignition and a partition table", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: mbr}]}"}, want: "diskSetup.partitions can have a tableType of gpt only"},
	{name: "KubeadmConfig with ignition and a partition table that it can make", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: gpt}]}"}},
	{name: "KubeadmConfig with a partition table", kind: "KubeadmConfig", set: []string{"spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: mbr}]}"}},
	{name: "KubeadmConfig with ignition and a replaced file system", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, replaceFS: ntfs}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmConfig with ignition and a replaced file system that it can make", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, label: l}]}"}},
	{name: "KubeadmConfig with a replaced file system", kind: "KubeadmConfig", set: []string{"spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, replaceFS: ntfs}]}"}},
	{name: "KubeadmConfig with ignition and a file system on a partition", kind: "KubeadmConfig", set: []string{"spec.format=ignition", "spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, partition: auto}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmConfig with a file system on a partition", kind: "KubeadmConfig", set: []string{"spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, partition: auto}]}"}},
	{name: "KubeadmConfigTemplate with ignition and an inactive user", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.users=[{name: u, inactive: true}]"}, want: "users with inactive true cannot be made with format ignition"},
	{name: "KubeadmConfigTemplate with ignition and an inactive user that it can make", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.users=[{name: u, inactive: false}]"}},
	{name: "KubeadmConfigTemplate with ignition and a zipped file", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.files=[{path: /a, content: a, encoding: gzip}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmConfigTemplate with ignition and a zipped file that it can make", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.files=[{path: /a, content: a, encoding: base64}]"}},
	{name: "KubeadmConfigTemplate with ignition and a file zipped and in base64", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.files=[{path: /a, content: a, encoding: gzip+base64}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmConfigTemplate with ignition and boot commands", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.bootCommands=[\"true\"]"}, want: "bootCommands cannot be run with format ignition"},
	{name: "KubeadmConfigTemplate with ignition and a partition table", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: mbr}]}"}, want: "diskSetup.partitions can have a tableType of gpt only"},
	{name: "KubeadmConfigTemplate with ignition and a partition table that it can make", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: gpt}]}"}},
	{name: "KubeadmConfigTemplate with ignition and a replaced file system", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, replaceFS: ntfs}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmConfigTemplate with ignition and a replaced file system that it can make", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, label: l}]}"}},
	{name: "KubeadmConfigTemplate with ignition and a file system on a partition", kind: "KubeadmConfigTemplate", set: []string{"spec.template.spec.format=ignition", "spec.template.spec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, partition: auto}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmControlPlane with ignition and an inactive user", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.users=[{name: u, inactive: true}]"}, want: "users with inactive true cannot be made with format ignition"},
	{name: "KubeadmControlPlane with ignition and an inactive user that it can make", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.users=[{name: u, inactive: false}]"}},
	{name: "KubeadmControlPlane with ignition and a zipped file", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.files=[{path: /a, content: a, encoding: gzip}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmControlPlane with ignition and a zipped file that it can make", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.files=[{path: /a, content: a, encoding: base64}]"}},
	{name: "KubeadmControlPlane with ignition and a file zipped and in base64", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.files=[{path: /a, content: a, encoding: gzip+base64}]"}, want: "files with encoding gzip or gzip+base64 cannot be written with format ignition"},
	{name: "KubeadmControlPlane with ignition and boot commands", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.bootCommands=[\"true\"]"}, want: "bootCommands cannot be run with format ignition"},
	{name: "KubeadmControlPlane with ignition and a partition table", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: mbr}]}"}, want: "diskSetup.partitions can have a tableType of gpt only"},
	{name: "KubeadmControlPlane with ignition and a partition table that it can make", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.diskSetup={partitions: [{device: /dev/sdb, layout: true, tableType: gpt}]}"}},
	{name: "KubeadmControlPlane with ignition and a replaced file system", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, replaceFS: ntfs}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmControlPlane with ignition and a replaced file system that it can make", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, label: l}]}"}},
	{name: "KubeadmControlPlane with ignition and a file system on a partition", kind: "KubeadmControlPlane", set: []string{"spec.kubeadmConfigSpec.format=ignition", "spec.kubeadmConfigSpec.diskSetup={filesystems: [{device: /dev/sdb, filesystem: ext4, partition: auto}]}"}, want: "diskSetup.filesystems cannot have replaceFS or partition"},
	{name: "KubeadmConfig with a bad token", kind: "KubeadmConfig", set: []string{"spec.initConfiguration.bootstrapTokens.0.token=secret"}, want: "not a bootstrap token"},
	{name: "KubeadmConfig with a token's end twice", kind: "KubeadmConfig", set: []string{"spec.initConfiguration.bootstrapTokens.0.ttlSeconds=5", "spec.initConfiguration.bootstrapTokens.0.expires=\"2030-01-01T00:00:00Z\""}, want: "ttlSeconds and expires exclude each other"},
	{name: "KubeadmConfig with two ways of discovery", kind: "KubeadmConfig", set: []string{"spec.joinConfiguration={discovery: {bootstrapToken: {token: a}, file: {kubeConfigPath: /k}}}"}, want: "discovery is either by bootstrapToken or by file"},
	{name: "KubeadmConfig with two ways to get credentials", kind: "KubeadmConfig", set: []string{"spec.joinConfiguration={discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {authProvider: {name: a}, exec: {command: b}}}}}}"}, want: "has either authProvider or exec"},
	{name: "KubeadmConfig with a plug-in for credentials", kind: "KubeadmConfig", set: []string{"spec.joinConfiguration={discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {authProvider: {name: a}}}}}}"}},
	{name: "KubeadmConfig with a command for credentials", kind: "KubeadmConfig", set: []string{"spec.joinConfiguration={discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {exec: {command: b}}}}}}"}},
	{name: "KubeadmConfig with no way to get credentials", kind: "KubeadmConfig", set: []string{"spec.joinConfiguration={discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {}}}}}"}, want: "at least 1 properties"},
	{name: "KubeadmConfig with two layouts", kind: "KubeadmConfig", set: []string{"spec.diskSetup={partitions: [{device: /dev/sdb, layout: true, diskLayout: [{percentage: 100}]}]}"}, want: "give one of layout and diskLayout"},
	{name: "KubeadmConfig with a bad partition", kind: "KubeadmConfig", set: []string{"spec.diskSetup={partitions: [{device: /dev/sdb, diskLayout: [{percentage: 100, partitionType: ext4}]}]}"}, want: "full GUID"},
	{name: "KubeadmConfig with more than a disk", kind: "KubeadmConfig", set: []string{"spec.diskSetup={partitions: [{device: /dev/sdb, diskLayout: [{percentage: 60}, {percentage: 41}]}, {device: /dev/sdc, diskLayout: [{percentage: 50}]}]}"}, want: "take more than the whole disk"},
	{name: "KubeadmConfig with a whole disk", kind: "KubeadmConfig", set: []string{"spec.diskSetup={partitions: [{device: /dev/sdb, diskLayout: [{percentage: 60}, {percentage: 40}]}, {device: /dev/sdc, diskLayout: [{percentage: 50}]}]}"}},

	{name: "ClusterResourceSet for no cluster", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={}"}, want: "an empty clusterSelector would pick no Cluster"},
	{name: "ClusterResourceSet with the selector pool Is [a]", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: pool, operator: Is, values: [a]}]}"}, want: "one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "ClusterResourceSet with the selector pool In", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: pool, operator: In}]}"}, want: "one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "ClusterResourceSet with the selector tier NotIn []", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: tier, operator: NotIn, values: []}]}"}, want: "one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "ClusterResourceSet with the selector pool Exists [a]", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: pool, operator: Exists, values: [a]}]}"}, want: "one of clusterSelector.matchExpressions is not valid: use the operator In or NotIn with values"},
	{name: "ClusterResourceSet selects by a key that cannot be", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: a b, operator: DoesNotExist}]}"}, want: "clusterSelector asks for a label that cannot be"},
	{name: "ClusterResourceSet selects by a value that cannot be", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: tier, operator: NotIn, values: [-a]}]}"}, want: "clusterSelector asks for a label that cannot be"},
	{name: "ClusterResourceSet selects by a label that cannot be", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchLabels: {pool: a b}}"}, want: "clusterSelector asks for a label that cannot be"},
	{name: "ClusterResourceSet selects by a label with a bad key", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchLabels: {a b: c}}"}, want: "clusterSelector asks for a label that cannot be"},
	{name: "ClusterResourceSet selects by expressions", kind: "ClusterResourceSet", set: []string{"spec.clusterSelector={matchExpressions: [{key: example.com/cni, operator: In, values: [a, '']}, {key: tier, operator: DoesNotExist}]}"}},
	{name: "ClusterResourceSet changes its selector", kind: "ClusterResourceSet", update: true, set: []string{"spec.clusterSelector.matchLabels={cni: other}"}, want: "clusterSelector cannot be changed"},
	{name: "ClusterResourceSet changes its strategy", kind: "ClusterResourceSet", update: true, set: []string{"spec.strategy=Reconcile"}, want: "strategy cannot be changed"},
	{name: "ClusterResourceSet gains a resource", kind: "ClusterResourceSet", update: true, set: []string{"spec.resources=[{kind: ConfigMap, name: base}, {kind: Secret, name: s}]"}},
	{name: "MachineDrainRule for all", kind: "MachineDrainRule", set: []string{"spec={drain: {behavior: Skip}}"}},
	{name: "MachineDrainRule with a negative order", kind: "MachineDrainRule", set: []string{"spec.drain={behavior: Drain, order: -7}"}},
	{name: "MachineDrainRule waits for all", kind: "MachineDrainRule", set: []string{"spec.drain={behavior: WaitCompleted}"}},
	{name: "MachineDrainRule skips in an order", kind: "MachineDrainRule", set: []string{"spec.drain={behavior: Skip, order: 1}"}, want: "only pods that are evicted have an order"},
	{name: "MachineDrainRule waits in an order", kind: "MachineDrainRule", set: []string{"spec.drain={behavior: WaitCompleted, order: 0}"}, want: "only pods that are evicted have an order"},
	{name: "MachineDrainRule with another behavior", kind: "MachineDrainRule", set: []string{"spec.drain={behavior: Kill}"}, want: "Unsupported value"},
	{name: "MachineDrainRule with the same pods twice", kind: "MachineDrainRule", set: []string{"spec.pods=[{selector: {matchLabels: {a: b}}}, {selector: {matchLabels: {a: b}}}]"}, want: "one of the entries of pods is there twice"},
	{name: "MachineDrainRule with the same Machines twice", kind: "MachineDrainRule", set: []string{"spec.machines=[{selector: {matchLabels: {a: b}}}, {selector: {matchLabels: {a: b}}}]"}, want: "one of the entries of machines is there twice"},
	{name: "MachineDrainRule for no pods", kind: "MachineDrainRule", set: []string{"spec.pods=[]"}, want: "should have at least 1 items"},
	{name: "MachineDrainRule with an empty entry", kind: "MachineDrainRule", set: []string{"spec.machines=[{}]"}, want: "should have at least 1 properties"},
	{name: "MachineDrainRule with selectors that pick all", kind: "MachineDrainRule", set: []string{"spec.pods=[{selector: {}, namespaceSelector: {}}]"}},
	{name: "MachineDrainRule machines.selector with pool Is [a]", kind: "MachineDrainRule", set: []string{"spec.machines=[{selector: {matchExpressions: [{key: pool, operator: Is, values: [a]}]}}]"}, want: "one of selector.matchExpressions is not valid"},
	{name: "MachineDrainRule machines.selector with pool In", kind: "MachineDrainRule", set: []string{"spec.machines=[{selector: {matchExpressions: [{key: pool, operator: In}]}}]"}, want: "one of selector.matchExpressions is not valid"},
	{name: "MachineDrainRule machines.selector with a label that cannot be", kind: "MachineDrainRule", set: []string{"spec.machines=[{selector: {matchLabels: {pool: a b}}}]"}, want: "selector asks for a label that cannot be"},
	{name: "MachineDrainRule machines.clusterSelector with pool Is [a]", kind: "MachineDrainRule", set: []string{"spec.machines=[{clusterSelector: {matchExpressions: [{key: pool, operator: Is, values: [a]}]}}]"}, want: "one of clusterSelector.matchExpressions is not valid"},
	{name: "MachineDrainRule machines.clusterSelector with pool In", kind: "MachineDrainRule", set: []string{"spec.machines=[{clusterSelector: {matchExpressions: [{key: pool, operator: In}]}}]"}, want: "one of clusterSelector.matchExpressions is not valid"},
	{name: "MachineDrainRule machines.clusterSelector with a label that cannot be", kind: "MachineDrainRule", set: []string{"spec.machines=[{clusterSelector: {matchLabels: {pool: a b}}}]"}, want: "clusterSelector asks for a label that cannot be"},
	{name: "MachineDrainRule pods.selector with pool Is [a]", kind: "MachineDrainRule", set: []string{"spec.pods=[{selector: {matchExpressions: [{key: pool, operator: Is, values: [a]}]}}]"}, want: "one of selector.matchExpressions is not valid"},
	{name: "MachineDrainRule pods.selector with pool In", kind: "MachineDrainRule", set: []string{"spec.pods=[{selector: {matchExpressions: [{key: pool, operator: In}]}}]"}, want: "one of selector.matchExpressions is not valid"},
	{name: "MachineDrainRule pods.selector with a label that cannot be", kind: "MachineDrainRule", set: []string{"spec.pods=[{selector: {matchLabels: {pool: a b}}}]"}, want: "selector asks for a label that cannot be"},
	{name: "MachineDrainRule pods.namespaceSelector with pool Is [a]", kind: "MachineDrainRule", set: []string{"spec.pods=[{namespaceSelector: {matchExpressions: [{key: pool, operator: Is, values: [a]}]}}]"}, want: "one of namespaceSelector.matchExpressions is not valid"},
	{name: "MachineDrainRule pods.namespaceSelector with pool In", kind: "MachineDrainRule", set: []string{"spec.pods=[{namespaceSelector: {matchExpressions: [{key: pool, operator: In}]}}]"}, want: "one of namespaceSelector.matchExpressions is not valid"},
	{name: "MachineDrainRule pods.namespaceSelector with a label that cannot be", kind: "MachineDrainRule", set: []string{"spec.pods=[{namespaceSelector: {matchLabels: {pool: a b}}}]"}, want: "namespaceSelector asks for a label that cannot be"},
	{name: "ClusterResourceSetBinding changes its cluster", kind: "ClusterResourceSetBinding", update: true, set: []string{"spec.clusterName=b"}, want: "clusterName cannot be changed"},

	{name: "DockerMachineTemplate changes", kind: "DockerMachineTemplate", update: true, set: []string{"spec.template.spec.customImage=other"}, want: "make another template"},
	{name: "DockerMachineTemplate changes labels", kind: "DockerMachineTemplate", update: true, set: []string{"spec.template.metadata={labels: {a: b}}"}},
	{name: "DockerClusterTemplate changes", kind: "DockerClusterTemplate", update: true, set: []string{"spec.template.spec.failureDomains=[{name: fd2}]"}, want: "make another template"},
	{name: "DockerMachine with half a mount", kind: "DockerMachine", set: []string{"spec.extraMounts=[{hostPath: /a}]"}, want: "a mount needs both hostPath and containerPath"},

	{name: "MachineSet spec.template.metadata: labels and annotations", kind: "MachineSet", set: []string{"spec.template.metadata={labels: {pool: a, example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "MachineSet spec.template.metadata: the key of a label", kind: "MachineSet", set: []string{"spec.template.metadata={labels: {pool: a, -a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "MachineSet spec.template.metadata: the value of a label", kind: "MachineSet", set: []string{"spec.template.metadata={labels: {pool: a, a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "MachineSet spec.template.metadata: the key of an annotation", kind: "MachineSet", set: []string{"spec.template.metadata={labels: {pool: a, a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "MachineDeployment spec.template.metadata: labels and annotations", kind: "MachineDeployment", set: []string{"spec.template.metadata={labels: {pool: a, example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "MachineDeployment spec.template.metadata: the key of a label", kind: "MachineDeployment", set: []string{"spec.template.metadata={labels: {pool: a, -a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "MachineDeployment spec.template.metadata: the value of a label", kind: "MachineDeployment", set: []string{"spec.template.metadata={labels: {pool: a, a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "MachineDeployment spec.template.metadata: the key of an annotation", kind: "MachineDeployment", set: []string{"spec.template.metadata={labels: {pool: a, a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "KubeadmControlPlane spec.machineTemplate.metadata: labels and annotations", kind: "KubeadmControlPlane", set: []string{"spec.machineTemplate.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "KubeadmControlPlane spec.machineTemplate.metadata: the key of a label", kind: "KubeadmControlPlane", set: []string{"spec.machineTemplate.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "KubeadmControlPlane spec.machineTemplate.metadata: the value of a label", kind: "KubeadmControlPlane", set: []string{"spec.machineTemplate.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "KubeadmControlPlane spec.machineTemplate.metadata: the key of an annotation", kind: "KubeadmControlPlane", set: []string{"spec.machineTemplate.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.metadata: labels and annotations", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "KubeadmControlPlaneTemplate spec.template.metadata: the key of a label", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.metadata: the value of a label", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.metadata: the key of an annotation", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.spec.machineTemplate.metadata: labels and annotations", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineTemplate.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "KubeadmControlPlaneTemplate spec.template.spec.machineTemplate.metadata: the key of a label", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineTemplate.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.spec.machineTemplate.metadata: the value of a label", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineTemplate.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "KubeadmControlPlaneTemplate spec.template.spec.machineTemplate.metadata: the key of an annotation", kind: "KubeadmControlPlaneTemplate", set: []string{"spec.template.spec.machineTemplate.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "KubeadmConfigTemplate spec.template.metadata: labels and annotations", kind: "KubeadmConfigTemplate", set: []string{"spec.template.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "KubeadmConfigTemplate spec.template.metadata: the key of a label", kind: "KubeadmConfigTemplate", set: []string{"spec.template.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "KubeadmConfigTemplate spec.template.metadata: the value of a label", kind: "KubeadmConfigTemplate", set: []string{"spec.template.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "KubeadmConfigTemplate spec.template.metadata: the key of an annotation", kind: "KubeadmConfigTemplate", set: []string{"spec.template.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "DockerMachineTemplate spec.template.metadata: labels and annotations", kind: "DockerMachineTemplate", set: []string{"spec.template.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "DockerMachineTemplate spec.template.metadata: the key of a label", kind: "DockerMachineTemplate", set: []string{"spec.template.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "DockerMachineTemplate spec.template.metadata: the value of a label", kind: "DockerMachineTemplate", set: []string{"spec.template.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "DockerMachineTemplate spec.template.metadata: the key of an annotation", kind: "DockerMachineTemplate", set: []string{"spec.template.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "DockerClusterTemplate spec.template.metadata: labels and annotations", kind: "DockerClusterTemplate", set: []string{"spec.template.metadata={labels: {example.com/a_B.c: x_Y.z-1, empty: ''}, annotations: {Example.com/A: \"any thing\"}}"}},
	{name: "DockerClusterTemplate spec.template.metadata: the key of a label", kind: "DockerClusterTemplate", set: []string{"spec.template.metadata={labels: {-a: b}}"}, want: "the key of one of the labels is not valid"},
	{name: "DockerClusterTemplate spec.template.metadata: the value of a label", kind: "DockerClusterTemplate", set: []string{"spec.template.metadata={labels: {a: b c}}"}, want: "the value of one of the labels is not valid"},
	{name: "DockerClusterTemplate spec.template.metadata: the key of an annotation", kind: "DockerClusterTemplate", set: []string{"spec.template.metadata={labels: {a: b}, annotations: {a/b/c: d}}"}, want: "the key of one of the annotations is not valid"},
	{name: "MachineDeployment with a long label", kind: "MachineDeployment", set: []string{"spec.template.metadata.labels={pool: a, example.com/" + strings.Repeat("k", 63) + ": " + strings.Repeat("v", 63) + "}"}},
	{name: "MachineDeployment with a key that is too long", kind: "MachineDeployment", set: []string{"spec.template.metadata.labels={pool: a, example.com/" + strings.Repeat("k", 64) + ": v}"}, want: "the key of one of the labels is not valid"},
	{name: "MachineDeployment with a value that is too long", kind: "MachineDeployment", set: []string{"spec.template.metadata.labels={pool: a, b: " + strings.Repeat("v", 64) + "}"}, want: "may not be more than 63"},
	{name: "MachineDeployment with many annotations", kind: "MachineDeployment", set: []string{"spec.template.metadata.annotations={a: " + strings.Repeat("x", 262143) + "}"}},
	{name: "MachineDeployment with too many annotations", kind: "MachineDeployment", set: []string{"spec.template.metadata.annotations={a: " + strings.Repeat("x", 262140) + ", b: xyz}"}, want: "annotations hold more than the 256 KiB"},

	{name: "MachineHealthCheck as it is", kind: "MachineHealthCheck"},
	{name: "MachineHealthCheck changes its cluster", kind: "MachineHealthCheck", update: true, set: []string{"spec.clusterName=other"}, want: "clusterName cannot be changed"},
	{name: "MachineHealthCheck changes its selector", kind: "MachineHealthCheck", update: true, set: []string{"spec.selector={matchLabels: {pool: b}}"}},
	{name: "MachineHealthCheck without a selector", kind: "MachineHealthCheck", set: []string{"spec.selector="}, want: "spec.selector"},
	{name: "MachineHealthCheck with an empty selector", kind: "MachineHealthCheck", set: []string{"spec.selector={}"}, want: "an empty selector would pick every Machine"},
	{name: "MachineHealthCheck with an emptied selector", kind: "MachineHealthCheck", set: []string{"spec.selector={matchLabels: {}, matchExpressions: []}"}, want: "an empty selector would pick every Machine"},
	{name: "MachineHealthCheck selects by an expression", kind: "MachineHealthCheck", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Exists}]}"}},
	{name: "MachineHealthCheck with the selector pool Is [a]", kind: "MachineHealthCheck", set: []string{"spec.selector={matchExpressions: [{key: pool, operator: Is, values: [a]}]}"}, want: "one of selector.matchExpressions is not valid"},
	{name: "MachineHealthCheck selects by a label that cannot be", kind: "MachineHealthCheck", set: []string{"spec.selector={matchLabels: {pool: a b}}"}, want: "selector asks for a label that cannot be"},
	{name: "MachineHealthCheck without checks", kind: "MachineHealthCheck", set: []string{"spec.checks="}},
	{name: "MachineHealthCheck without remediation", kind: "MachineHealthCheck", set: []string{"spec.remediation="}},
	{name: "MachineHealthCheck with 0 seconds for a node", kind: "MachineHealthCheck", set: []string{"spec.checks.nodeStartupTimeoutSeconds=0"}},
	{name: "MachineHealthCheck with 29 seconds for a node", kind: "MachineHealthCheck", set: []string{"spec.checks.nodeStartupTimeoutSeconds=29"}, want: "set nodeStartupTimeoutSeconds to 30 or more"},
	{name: "MachineHealthCheck with 30 seconds for a node", kind: "MachineHealthCheck", set: []string{"spec.checks.nodeStartupTimeoutSeconds=30"}},
	{name: "MachineHealthCheck with one condition of nodes twice", kind: "MachineHealthCheck", set: []string{"spec.checks.unhealthyNodeConditions.1.status=\"False\""}, want: "unhealthyNodeConditions names one type with the same status twice"},
	{name: "MachineHealthCheck with one condition of Machines twice", kind: "MachineHealthCheck", set: []string{"spec.checks.unhealthyMachineConditions=[{type: A, status: \"False\", timeoutSeconds: 0}, {type: A, status: \"False\", timeoutSeconds: 5}]"}, want: "unhealthyMachineConditions names one type with the same status twice"},
	{name: "MachineHealthCheck with a condition that follows from it", kind: "MachineHealthCheck", set: []string{"spec.checks.unhealthyMachineConditions.0.type=Ready"}, want: "conditions that follow from health checks"},
	{name: "MachineHealthCheck with a condition that no Machine has the status of", kind: "MachineHealthCheck", set: []string{"spec.checks.unhealthyMachineConditions.0.status=Maybe"}, want: "Unsupported value"},
	{name: "MachineHealthCheck with a negative time", kind: "MachineHealthCheck", set: []string{"spec.checks.unhealthyNodeConditions.0.timeoutSeconds=-1"}, want: "greater than or equal to 0"},
	{name: "MachineHealthCheck acts on none", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf={unhealthyLessThanOrEqualTo: 0}"}},
	{name: "MachineHealthCheck acts on fewer than none", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf={unhealthyLessThanOrEqualTo: -1}"}, want: "a percentage such as 40%"},
	{name: "MachineHealthCheck acts on some", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf={unhealthyLessThanOrEqualTo: some}"}, want: "a percentage such as 40%"},
	{name: "MachineHealthCheck with the range 1-3", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf.unhealthyInRange=1-3"}, want: "unhealthyInRange"},
	{name: "MachineHealthCheck with the range [3-3]", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf.unhealthyInRange=\"[3-3]\""}},
	{name: "MachineHealthCheck with the range [10-9]", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf.unhealthyInRange=\"[10-9]\""}, want: "from the smaller number to the larger one"},
	{name: "MachineHealthCheck with a range of large numbers", kind: "MachineHealthCheck", set: []string{"spec.remediation.triggerIf.unhealthyInRange=\"[1-1234567890]\""}, want: "each of at most nine digits"},
	{name: "MachineHealthCheck with a template of no group", kind: "MachineHealthCheck", set: []string{"spec.remediation.templateRef.apiVersion=v1"}, want: "spec.remediation.templateRef.apiVersion"},

	{name: "DockerMachine changes its image", kind: "DockerMachine", update: true, set: []string{"spec.customImage=other"}, want: "spec.customImage cannot be changed"},
	{name: "DockerMachine loses its image", kind: "DockerMachine", update: true, set: []string{"spec.customImage="}, want: "spec.customImage cannot be changed"},
	{name: "DockerMachine loses its spec", kind: "DockerMachine", update: true, set: []string{"spec="}, want: "spec.customImage cannot be changed"},
	{name: "DockerMachine gains an identity", kind: "DockerMachine", update: true, set: []string{"spec.providerID=docker:////base"}},
	{name: "DockerCluster with failure domains", kind: "DockerCluster", set: []string{"spec.failureDomains=[{name: a}, {name: b}, {name: c}]"}},
	{name: "DockerCluster with failure domains out of order", kind: "DockerCluster", set: []string{"spec.failureDomains=[{name: a}, {name: c}, {name: b}]"}, want: "sort them by name"},
	{name: "DockerClusterTemplate with failure domains out of order", kind: "DockerClusterTemplate", set: []string{"spec.template.spec.failureDomains=[{name: b}, {name: a}]"}, want: "sort them by name"},
}

// TestInAPIServer starts one API server for everything that needs one.
func TestInAPIServer(t *testing.T) {
	s := startServer(t)
	t.Run("rules", func(t *testing.T) { testRules(t, s) })
	t.Run("defaults", func(t *testing.T) { testDefaults(t, s) })
	t.Run("scale", func(t *testing.T) { testScale(t, s) })
	t.Run("talk", func(t *testing.T) { testTalk(t, s) })
}

func testRules(t *testing.T, s *server) {
	bases := parse(t, base)
	for _, test := range ruleCases {
		t.Run(test.name, func(t *testing.T) {
			object := find(t, bases, test.kind).DeepCopy()
			client := s.of(t, object, "default")
			for _, change := range test.from {
				set(t, object.Object, change)
			}
			if test.update {
				created, err := client.Create(t.Context(), object, metav1.CreateOptions{})
				if err != nil {
					t.Fatalf("the base object is refused: %v", err)
				}
				object = created
				t.Cleanup(func() { s.remove(t, client, object.GetName()) })
			}
			for _, change := range test.set {
				set(t, object.Object, change)
			}
			var err error
			if test.update {
				_, err = client.Update(t.Context(), object, metav1.UpdateOptions{})
			} else {
				_, err = client.Create(t.Context(), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			}
			switch {
			case test.want == "" && err != nil:
				t.Errorf("want it accepted, got: %v", err)
			case test.want != "" && err == nil:
				t.Errorf("want a refusal with %q, but it is accepted", test.want)
			case test.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("want a refusal with %q, got: %v", test.want, err)
			}
		})
	}
}

func testDefaults(t *testing.T, s *server) {
	bases := parse(t, base)
	for _, test := range []struct {
		name, kind string
		set        []string
		path, want string // want is YAML; empty: nothing there
	}{
		{name: "MachineSet replicas", kind: "MachineSet", path: "spec.replicas", want: "1"},
		{name: "MachineSet deletion order", kind: "MachineSet", path: "spec.deletion", want: "{order: Random}"},
		{name: "MachineDeployment replicas", kind: "MachineDeployment", path: "spec.replicas", want: "1"},
		{name: "MachineDeployment rollout", kind: "MachineDeployment", path: "spec.rollout", want: "{strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}}"},
		{name: "MachineDeployment rollout with a time", kind: "MachineDeployment", set: []string{"spec.rollout={after: \"2030-01-01T00:00:00Z\"}"}, path: "spec.rollout.strategy", want: "{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"},
		{name: "MachineDeployment rollout with one bound", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {rollingUpdate: {maxUnavailable: 1}}}"}, path: "spec.rollout.strategy", want: "{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}"},
		{name: "MachineDeployment OnDelete", kind: "MachineDeployment", set: []string{"spec.rollout={strategy: {type: OnDelete}}"}, path: "spec.rollout.strategy", want: "{type: OnDelete}"},
		{name: "MachineHealthCheck checks", kind: "MachineHealthCheck", set: []string{"spec.checks="}, path: "spec.checks", want: "{nodeStartupTimeoutSeconds: 600}"},
		{name: "MachineHealthCheck start-up time", kind: "MachineHealthCheck", path: "spec.checks.nodeStartupTimeoutSeconds", want: "600"},
		{name: "Machine deletion", kind: "Machine", path: "spec.deletion", want: "{nodeDeletionTimeoutSeconds: 10}"},
		{name: "Machine deletion with one limit", kind: "Machine", set: []string{"spec.deletion={nodeDrainTimeoutSeconds: 5}"}, path: "spec.deletion", want: "{nodeDrainTimeoutSeconds: 5, nodeDeletionTimeoutSeconds: 10}"},
		{name: "KubeadmControlPlane replicas", kind: "KubeadmControlPlane", set: []string{"spec.replicas="}, path: "spec.replicas", want: "1"},
		{name: "KubeadmControlPlane rollout", kind: "KubeadmControlPlane", path: "spec.rollout", want: "{strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}"},
		{name: "KubeadmControlPlane format", kind: "KubeadmControlPlane", path: "spec.kubeadmConfigSpec.format", want: "cloud-config"},
		{name: "KubeadmConfig format", kind: "KubeadmConfig", path: "spec.format", want: "cloud-config"},
		{name: "ClusterResourceSet strategy", kind: "ClusterResourceSet", path: "spec.strategy", want: "ApplyOnce"},
		{name: "DockerMachine timeout", kind: "DockerMachine", path: "spec.bootstrapTimeout", want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := find(t, bases, test.kind).DeepCopy()
			for _, change := range test.set {
				set(t, object.Object, change)
			}
			made, err := s.of(t, object, "default").Create(t.Context(), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := unstructured.NestedFieldNoCopy(made.Object, strings.Split(test.path, ".")...)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := sigsyaml.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if gotText, wantText := asJSON(t, got), asJSON(t, want); gotText != wantText {
				t.Errorf("%s is %s, want %s", test.path, gotText, wantText)
			}
		})
	}
}

// testScale checks that the scale subresource goes through the same rules, and that a default does not fight an
// autoscaler.
func testScale(t *testing.T, s *server) {
	bases := parse(t, base)
	for _, test := range []struct {
		kind     string
		replicas int
		want     string
	}{
		{"KubeadmControlPlane", 5, ""},
		{"KubeadmControlPlane", 2, "replicas has to be odd"},
		{"KubeadmControlPlane", 0, "needs at least one machine"},
		{"MachineDeployment", 4, ""},
		{"MachineDeployment", -1, "greater than or equal to 0"},
		{"MachineSet", 0, ""},
	} {
		t.Run(fmt.Sprintf("%s to %d", test.kind, test.replicas), func(t *testing.T) {
			object := find(t, bases, test.kind).DeepCopy()
			client := s.of(t, object, "default")
			if _, err := client.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.remove(t, client, object.GetName()) })
			patch := fmt.Sprintf(`{"spec": {"replicas": %d}}`, test.replicas)
			_, err := client.Patch(t.Context(), object.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "scale")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("want %q, got: %v", test.want, err)
			}
		})
	}
	t.Run("an apply without replicas keeps the autoscaler's number", func(t *testing.T) {
		object := find(t, bases, "MachineDeployment").DeepCopy()
		client := s.of(t, object, "default")
		options := metav1.ApplyOptions{FieldManager: "person"}
		if _, err := client.Apply(t.Context(), object.GetName(), object, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.remove(t, client, object.GetName()) })
		if _, err := client.Patch(t.Context(), object.GetName(), types.MergePatchType, []byte(`{"spec": {"replicas": 7}}`), metav1.PatchOptions{FieldManager: "autoscaler"}, "scale"); err != nil {
			t.Fatal(err)
		}
		set(t, object.Object, "spec.template.spec.version=v1.37.2")
		after, err := client.Apply(t.Context(), object.GetName(), object, options)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := unstructured.NestedInt64(after.Object, "spec", "replicas"); got != 7 {
			t.Errorf("replicas is %d after the second apply, want the autoscaler's 7", got)
		}
	})
}

// testTalk applies the talk's manifests as the README there says.
func testTalk(t *testing.T, s *server) {
	files, err := filepath.Glob("../../examples/talk/*.yaml")
	if err != nil || len(files) != 6 {
		t.Fatalf("find the talk's manifests: %v, %v", files, err)
	}
	slices.Sort(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range parse(t, string(text)) {
			client := s.of(t, object, object.GetNamespace())
			if _, err := client.Apply(t.Context(), object.GetName(), object, metav1.ApplyOptions{FieldManager: filepath.Base(file), Force: true}); err != nil {
				t.Errorf("%s: apply %s %s: %v", filepath.Base(file), object.GetKind(), object.GetName(), err)
			}
		}
	}
	checks, err := os.ReadFile("../../examples/health-checks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range parse(t, string(checks)) {
		if _, err := s.of(t, object, object.GetNamespace()).Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Errorf("create %s of the examples: %v", object.GetName(), err)
		}
	}
	controlPlane, err := s.client.Resource(s.resources["KubeadmControlPlane"]).Namespace("default").Get(t.Context(), "demo-control-plane", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := unstructured.NestedString(controlPlane.Object, "spec", "version")
	replicas, _, _ := unstructured.NestedInt64(controlPlane.Object, "spec", "replicas")
	_, configured, _ := unstructured.NestedMap(controlPlane.Object, "spec", "kubeadmConfigSpec", "initConfiguration")
	if version != "v1.37.1" || replicas != 3 || !configured {
		t.Errorf("after the upgrade: version %s, replicas %d, configured %t; want v1.37.1, 3, true", version, replicas, configured)
	}
}
