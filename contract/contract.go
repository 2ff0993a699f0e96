// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"strings"

	"github.com/gobuffalo/flect"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// Contract versions, newest first, as they stand in the labels of provider CRDs.
const (
	V1Beta2 = "v1beta2"
	V1Beta1 = "v1beta1"

	labelPrefix = "cluster.x-k8s.io/"
)

// Ref is a reference to a provider's object: the API group, the kind and the name,
// without version or namespace (the namespace is that of the referring object).
type Ref struct {
	APIGroup, Kind, Name string
}

func (r Ref) String() string { return fmt.Sprintf("%s.%s %s", r.Kind, r.APIGroup, r.Name) }

// IsZero reports whether nothing is referred to.
func (r Ref) IsZero() bool { return r == Ref{} }

// GroupKind is the kind referred to.
func (r Ref) GroupKind() schema.GroupKind { return schema.GroupKind{Group: r.APIGroup, Kind: r.Kind} }

// CRDName is the name by which the contract finds the CRD of a kind: the lowercase
// plural and the group.
func CRDName(kind schema.GroupKind) string {
	return flect.Pluralize(strings.ToLower(kind.Kind)) + "." + kind.Group
}

// Served gives, from the labels of a kind's CRD, the contract version that it
// follows and the API version to use with it: the newest contract first, and of the
// API versions listed for it ("v1alpha1_v1beta1") the highest. ok is false when the
// CRD follows no contract we know.
func Served(crdLabels map[string]string) (contractVersion, apiVersion string, ok bool) {
	for _, contractVersion := range []string{V1Beta2, V1Beta1} {
		best := ""
		for candidate := range strings.SplitSeq(crdLabels[labelPrefix+contractVersion], "_") {
			if candidate != "" && (best == "" || version.CompareKubeAwareVersionStrings(candidate, best) > 0) {
				best = candidate
			}
		}
		if best != "" {
			return contractVersion, best, true
		}
	}
	return "", "", false
}

// Object is a provider's object together with the contract version it follows.
type Object struct {
	*unstructured.Unstructured
	Contract string
}

func (o *Object) bool(path ...string) bool {
	value, _, err := unstructured.NestedBool(o.Object, path...)
	return err == nil && value
}

func (o *Object) string(path ...string) string {
	value, _, err := unstructured.NestedString(o.Object, path...)
	if err != nil {
		return ""
	}
	return value
}

func (o *Object) int32(path ...string) *int32 {
	value, found, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	if err != nil || !found {
		return nil
	}
	var number int32
	switch value := value.(type) {
	case int64:
		number = int32(value)
	case float64:
		number = int32(value)
	default:
		return nil
	}
	return &number
}

// UnmarshalJSON reads an object that follows the current contract; recorded
// snapshots hold objects in this form.
func (o *Object) UnmarshalJSON(data []byte) error {
	o.Unstructured = &unstructured.Unstructured{}
	o.Contract = V1Beta2
	return o.Unstructured.UnmarshalJSON(data)
}

// MarshalJSON writes the object as it is.
func (o *Object) MarshalJSON() ([]byte, error) { return o.Unstructured.MarshalJSON() }

// RefFrom is the reference that an API field holds.
func RefFrom(field clusterv1.ContractVersionedObjectReference) Ref {
	return Ref{APIGroup: field.APIGroup, Kind: field.Kind, Name: field.Name}
}
