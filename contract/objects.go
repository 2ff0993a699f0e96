// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// Condition is the condition of the type given as the provider reports it. Both
// metav1.Condition lists and the older shape (which lacks reason or has a severity)
// are read. malformed says what is wrong with one that cannot be used.
func (o *Object) Condition(conditionType string) (condition *metav1.Condition, malformed string) {
	items, found, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil {
		return nil, "status.conditions is not a list"
	}
	if !found {
		return nil, ""
	}
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok || fields["type"] != conditionType {
			continue
		}
		raw, err := json.Marshal(fields)
		if err != nil {
			return nil, err.Error()
		}
		var read metav1.Condition
		if err := json.Unmarshal(raw, &read); err != nil {
			return nil, fmt.Sprintf("condition %s: %v", conditionType, err)
		}
		switch read.Status {
		case metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown:
			return &read, ""
		default:
			return nil, fmt.Sprintf("condition %s has status %q; it must be True, False or Unknown", conditionType, read.Status)
		}
	}
	return nil, ""
}

// What a server takes as the reason of a condition.
var reasonForm = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

const reasonLimit = 1024

// Mirror is a condition of the object as one of who refers to it; reported is false when
// the object has no such condition. What the provider reports is not taken on trust: a
// reason that the server would refuse would keep the whole status from being written,
// and older providers give none where all is well.
func (o *Object) Mirror(source, conditionType string) (mirror metav1.Condition, reported bool) {
	condition, malformed := o.Condition(source)
	if condition != nil && condition.Reason == "" {
		condition.Reason = reasonOf(source, condition.Status)
	}
	if condition != nil && (len(condition.Reason) > reasonLimit || !reasonForm.MatchString(condition.Reason)) {
		malformed = fmt.Sprintf("condition %s has reason %.100q, which is not a word", source, condition.Reason)
	}
	switch {
	case malformed != "":
		return metav1.Condition{
			Type: conditionType, Status: metav1.ConditionUnknown, Reason: clusterv1.InvalidConditionReportedReason,
			Message: fmt.Sprintf("%s %s/%s: %s", o.GetKind(), o.GetNamespace(), o.GetName(), malformed),
		}, true
	case condition == nil:
		return metav1.Condition{}, false
	default:
		return metav1.Condition{Type: conditionType, Status: condition.Status, Reason: condition.Reason, Message: condition.Message}, true
	}
}

// reasonOf is the word for a condition's status where no other is given.
func reasonOf(conditionType string, status metav1.ConditionStatus) string {
	switch status {
	case metav1.ConditionTrue:
		return conditionType
	case metav1.ConditionFalse:
		return "Not" + conditionType
	default:
		return conditionType + "Unknown"
	}
}

// Provisioned reports, for an infrastructure cluster or machine, that the provider
// has made it.
func (o *Object) Provisioned() bool {
	if o.Contract == V1Beta1 {
		return o.bool("status", "ready")
	}
	return o.bool("status", "initialization", "provisioned")
}

// Endpoint is the control-plane endpoint that an infrastructure cluster or a
// control plane supplies; host is empty and port 0 when it supplies none yet.
func (o *Object) Endpoint() (host string, port int32) {
	host = o.string("spec", "controlPlaneEndpoint", "host")
	if p := o.int32("spec", "controlPlaneEndpoint", "port"); p != nil {
		port = *p
	}
	return host, port
}

// FailureDomain is one failure domain of an infrastructure cluster.
type FailureDomain struct {
	Name         string
	ControlPlane *bool
	Attributes   map[string]string
}

// FailureDomains are those that an infrastructure cluster reports, by name.
func (o *Object) FailureDomains() []FailureDomain {
	var domains []FailureDomain
	if o.Contract == V1Beta1 {
		byName, _, err := unstructured.NestedMap(o.Object, "status", "failureDomains")
		if err != nil {
			return nil
		}
		for name, domain := range byName {
			domains = append(domains, failureDomain(name, domain))
		}
	} else {
		items, _, err := unstructured.NestedSlice(o.Object, "status", "failureDomains")
		if err != nil {
			return nil
		}
		for _, item := range items {
			if fields, ok := item.(map[string]any); ok {
				name, _ := fields["name"].(string)
				domains = append(domains, failureDomain(name, item))
			}
		}
	}
	slices.SortFunc(domains, func(a, b FailureDomain) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return domains
}

func failureDomain(name string, item any) FailureDomain {
	domain := FailureDomain{Name: name}
	fields, ok := item.(map[string]any)
	if !ok {
		return domain
	}
	if controlPlane, ok := fields["controlPlane"].(bool); ok {
		domain.ControlPlane = &controlPlane
	}
	domain.Attributes, _, _ = unstructured.NestedStringMap(fields, "attributes")
	return domain
}

// ProviderID identifies the instance of an infrastructure machine, and with it the
// Node; empty until the provider knows it.
func (o *Object) ProviderID() string { return o.string("spec", "providerID") }

// Address is one address of an infrastructure machine.
type Address struct {
	Type, Address string
}

// Addresses are those of an infrastructure machine.
func (o *Object) Addresses() []Address {
	items, _, err := unstructured.NestedSlice(o.Object, "status", "addresses")
	if err != nil {
		return nil
	}
	var addresses []Address
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			kind, _ := fields["type"].(string)
			address, _ := fields["address"].(string)
			addresses = append(addresses, Address{Type: kind, Address: address})
		}
	}
	return addresses
}

// PlacedIn is the failure domain that an infrastructure machine ended up in.
func (o *Object) PlacedIn() string {
	if o.Contract == V1Beta1 {
		return o.string("spec", "failureDomain")
	}
	return o.string("status", "failureDomain")
}

// Interruptible reports that the instance may be taken away at any time.
func (o *Object) Interruptible() bool { return o.bool("status", "interruptible") }

// DataSecretName is the Secret with the user data of a bootstrap configuration.
func (o *Object) DataSecretName() string { return o.string("status", "dataSecretName") }

// DataSecretCreated reports that the user data of a bootstrap configuration is there.
func (o *Object) DataSecretCreated() bool {
	if o.Contract == V1Beta1 {
		return o.bool("status", "ready")
	}
	return o.bool("status", "initialization", "dataSecretCreated")
}

// ControlPlaneInitialized reports that the API server of a control plane answers.
func (o *Object) ControlPlaneInitialized() bool {
	if o.Contract == V1Beta1 {
		return o.bool("status", "initialized")
	}
	return o.bool("status", "initialization", "controlPlaneInitialized")
}

// Replicas counts the machines of a control plane; a nil field is one that the
// provider does not report.
type Replicas struct {
	Desired, Current, Ready, Available, UpToDate *int32
}

// Replicas are the counters that a control plane reports.
func (o *Object) Replicas() Replicas {
	counters := Replicas{
		Desired: o.int32("spec", "replicas"), Current: o.int32("status", "replicas"), Ready: o.int32("status", "readyReplicas"),
		Available: o.int32("status", "availableReplicas"), UpToDate: o.int32("status", "upToDateReplicas"),
	}
	if o.Contract == V1Beta1 {
		counters.UpToDate = o.int32("status", "updatedReplicas")
		if unavailable := o.int32("status", "unavailableReplicas"); unavailable != nil && counters.Current != nil {
			available := *counters.Current - *unavailable
			counters.Available = &available
		}
	}
	return counters
}

// DesiredVersion is the Kubernetes version that a control plane should have.
func (o *Object) DesiredVersion() string { return o.string("spec", "version") }

// VersionCount says how many machines have a Kubernetes version.
type VersionCount struct {
	Version  string
	Replicas *int32
}

// Versions are the Kubernetes versions that a control plane reports to run.
func (o *Object) Versions() []VersionCount {
	items, _, err := unstructured.NestedSlice(o.Object, "status", "versions")
	if err == nil && len(items) > 0 {
		var versions []VersionCount
		for _, item := range items {
			if fields, ok := item.(map[string]any); ok {
				version, _ := fields["version"].(string)
				count := Object{Unstructured: &unstructured.Unstructured{Object: fields}}
				versions = append(versions, VersionCount{Version: version, Replicas: count.int32("replicas")})
			}
		}
		return versions
	}
	if version := o.string("status", "version"); version != "" {
		return []VersionCount{{Version: version, Replicas: o.int32("status", "replicas")}}
	}
	return nil
}

// ExternallyManagedControlPlane reports a control plane that has no machines here.
func (o *Object) ExternallyManagedControlPlane() bool {
	return o.bool("status", "externalManagedControlPlane")
}

// Clone is what an object made from a template is to be called and to carry.
type Clone struct {
	Namespace, Name     string
	Labels, Annotations map[string]string
	Owner               metav1.OwnerReference
}

// FromTemplate makes the object that a template describes: its spec.template.spec,
// with the labels and annotations of spec.template.metadata, those of the clone on
// top, and the annotations that say what it was cloned from. The kind is that of the
// template without the word Template.
func FromTemplate(template *Object, clone Clone) (*unstructured.Unstructured, error) {
	kind := template.GroupVersionKind()
	cloned, isTemplate := cutTemplate(kind)
	if !isTemplate {
		return nil, fmt.Errorf("%s %s/%s is not a template: its kind must end in Template", kind.Kind, template.GetNamespace(), template.GetName())
	}
	spec, found, err := unstructured.NestedMap(template.Object, "spec", "template", "spec")
	if err != nil {
		return nil, fmt.Errorf("%s %s/%s: read spec.template.spec: %w", kind.Kind, template.GetNamespace(), template.GetName(), err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{}}
	if found {
		object.Object["spec"] = spec
	}
	labels, _, _ := unstructured.NestedStringMap(template.Object, "spec", "template", "metadata", "labels")
	annotations, _, _ := unstructured.NestedStringMap(template.Object, "spec", "template", "metadata", "annotations")
	labels, annotations = merged(labels, clone.Labels), merged(annotations, clone.Annotations)
	annotations["cluster.x-k8s.io/cloned-from-name"] = template.GetName()
	annotations["cluster.x-k8s.io/cloned-from-groupkind"] = kind.GroupKind().String()
	object.SetGroupVersionKind(cloned)
	object.SetNamespace(clone.Namespace)
	object.SetName(clone.Name)
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	object.SetOwnerReferences([]metav1.OwnerReference{clone.Owner})
	return object, nil
}

// ClonedKind is the kind of the objects that a template of the kind given makes.
func ClonedKind(template schema.GroupVersionKind) schema.GroupVersionKind {
	kind, _ := cutTemplate(template)
	return kind
}

func cutTemplate(kind schema.GroupVersionKind) (schema.GroupVersionKind, bool) {
	const suffix = "Template"
	if len(kind.Kind) <= len(suffix) || kind.Kind[len(kind.Kind)-len(suffix):] != suffix {
		return kind, false
	}
	kind.Kind = kind.Kind[:len(kind.Kind)-len(suffix)]
	return kind, true
}

func merged(base, over map[string]string) map[string]string {
	out := make(map[string]string, len(base)+len(over))
	maps.Copy(out, base)
	maps.Copy(out, over)
	return out
}
