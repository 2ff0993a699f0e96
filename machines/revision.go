// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// RolloutAfterAnnotation on a MachineSet is the spec.rollout.after of its MachineDeployment
// when the set was made, as RFC 3339. A clock of the server that is behind would otherwise
// make a new set look older than the time it was made for.
const RolloutAfterAnnotation = "slipway.dev/rollout-after"

// Outdated says in what the Machines of a MachineSet are not those that its
// MachineDeployment asks for, one short sentence each; none when they are. It compares
// field by field: fields that are changed in place do not count.
func Outdated(set *clusterv1.MachineSet, deployment *clusterv1.MachineDeployment, now time.Time) []string {
	differs := Differences(set.Spec.Template, deployment.Spec.Template)
	if after, due := RolloutDue(deployment, now); due && set.CreationTimestamp.Time.Before(after) {
		if made, err := time.Parse(time.RFC3339, set.Annotations[RolloutAfterAnnotation]); err != nil || made.Before(after) {
			differs = append(differs, "spec.rollout.after, "+after.UTC().Format(time.RFC3339)+", has passed since")
		}
	}
	return differs
}

// RolloutDue is the time before which MachineSets are outdated, if there is one and it has
// come.
func RolloutDue(deployment *clusterv1.MachineDeployment, now time.Time) (after time.Time, due bool) {
	after = deployment.Spec.Rollout.After.Time
	return after, !after.IsZero() && !now.Before(after)
}

// Differences say in what the machines of one template would differ from those of the
// other, one short sentence for each field, such as "version is v1.36.3, v1.37.1 is asked
// for". There are none exactly when SameMachines holds.
func Differences(have, want clusterv1.MachineTemplateSpec) []string {
	a, b := rolloutFields(have), rolloutFields(want)
	var differs []string
	field := func(name, have, want string) {
		if have == "" {
			have = "not set"
		}
		if want == "" {
			want = "none"
		}
		differs = append(differs, fmt.Sprintf("%s is %s, %s is asked for", name, have, want))
	}
	for _, text := range []struct {
		name       string
		have, want *string
	}{
		{"version", &a.Version, &b.Version},
		{"failureDomain", &a.FailureDomain, &b.FailureDomain},
		{"bootstrap.dataSecretName", a.Bootstrap.DataSecretName, b.Bootstrap.DataSecretName},
		{"clusterName", &a.ClusterName, &b.ClusterName},
		{"providerID", &a.ProviderID, &b.ProviderID},
	} {
		if have, want := valueOf(text.have), valueOf(text.want); have != want {
			field(text.name, have, want)
		}
	}
	for _, ref := range []struct {
		name       string
		have, want clusterv1.ContractVersionedObjectReference
	}{
		{"infrastructureRef", a.InfrastructureRef, b.InfrastructureRef},
		{"bootstrap.configRef", a.Bootstrap.ConfigRef, b.Bootstrap.ConfigRef},
	} {
		if ref.have != ref.want {
			field(ref.name, refText(ref.have), refText(ref.want))
		}
	}
	if len(differs) == 0 && !equality.Semantic.DeepEqual(a, b) {
		differs = append(differs, "template.spec is another")
	}
	return differs
}

func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func refText(ref clusterv1.ContractVersionedObjectReference) string {
	if !ref.IsDefined() {
		return ""
	}
	return ref.Kind + " " + ref.Name
}

// TemplateKey tells the templates of one owner apart: equal for templates that make the
// same machines, whatever else is in them.
func TemplateKey(template clusterv1.MachineTemplateSpec) string {
	raw, err := json.Marshal(rolloutFields(template))
	if err != nil {
		panic(fmt.Sprintf("write a machine template: %v", err)) // no API type can cause it
	}
	return string(raw)
}
