// SPDX-License-Identifier: Apache-2.0

// Package api_test holds the types to the wire format. It has tests only.
package api_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
)

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// fill sets every field below a value to something that is not zero: two elements to a list, one to a map.
func fill(value reflect.Value, next *int) {
	*next++
	switch special := value.Addr().Interface().(type) {
	case *metav1.TypeMeta:
		return
	case *metav1.ObjectMeta:
		special.Name, special.Labels = fmt.Sprintf("name-%d", *next), map[string]string{"number": fmt.Sprint(*next)}
		return
	case *metav1.ListMeta:
		special.ResourceVersion = fmt.Sprint(*next)
		return
	case *metav1.Time:
		*special = metav1.Unix(int64(*next), 0)
		return
	case *intstr.IntOrString:
		*special = intstr.FromString(fmt.Sprintf("%d%%", *next))
		return
	case *resource.Quantity:
		*special = *resource.NewQuantity(int64(*next), resource.DecimalSI)
		return
	case *clusterv1.JSON:
		special.Raw = []byte(`{"a":[1,"two",null]}`)
		return
	case *bootstrapv1.BootstrapTokenString:
		special.ID, special.Secret = "abcdef", "0123456789abcdef"
		return
	}
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				fill(value.Field(i), next)
			}
		}
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), next)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 2, 2))
		for i := range 2 {
			fill(value.Index(i), next)
		}
	case reflect.Map:
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		fill(key, next)
		fill(element, next)
		value.Set(reflect.MakeMap(value.Type()))
		value.SetMapIndex(key, element)
	case reflect.String:
		value.SetString(fmt.Sprintf("text-%d", *next))
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Uint8:
		value.SetUint(uint64(*next % 200))
	case reflect.Int32, reflect.Int64:
		value.SetInt(int64(*next))
	default:
		panic(fmt.Sprintf("no way to fill a %s", value.Type()))
	}
}

// TestRoundTrip checks, for every kind, that nothing is lost between Go and JSON, that copies are deep, and that an object
// with nothing set says next to nothing.
func TestRoundTrip(t *testing.T) {
	s := scheme(t)
	kinds := 0
	for kind := range s.AllKnownTypes() {
		if strings.HasSuffix(kind.Kind, "Options") || kind.Kind == "WatchEvent" || kind.Version != "v1beta2" {
			continue
		}
		kinds++
		t.Run(kind.Kind, func(t *testing.T) {
			original, read := newOf(t, s, kind), newOf(t, s, kind)
			next := 0
			fill(reflect.ValueOf(original).Elem(), &next)
			text, err := json.Marshal(original)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, read); err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(original, read) {
				again, _ := json.Marshal(read)
				t.Errorf("what was read is not what was written: %s", firstDifference(string(text), string(again)))
			}
			duplicate := original.DeepCopyObject()
			fill(reflect.ValueOf(original).Elem(), &next)
			if !equality.Semantic.DeepEqual(duplicate, read) {
				t.Error("the copy changed with the original")
			}
			empty, err := json.Marshal(newOf(t, s, kind))
			if err != nil || len(empty) > 120 || strings.Contains(string(empty), "conditions") {
				t.Errorf("an empty object is %s (%v)", empty, err)
			}
		})
	}
	if kinds != 32 {
		t.Errorf("%d kinds and lists are registered, want 32", kinds)
	}
}

func newOf(t *testing.T, s *runtime.Scheme, kind schema.GroupVersionKind) runtime.Object {
	t.Helper()
	object, err := s.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// firstDifference returns what is around the first place where two texts differ.
func firstDifference(a, b string) string {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	around := func(text string) string { return text[max(0, at-60):min(len(text), at+60)] }
	return fmt.Sprintf("...%s... is ...%s...", around(a), around(b))
}

// conditioned is what a kind with conditions has.
type conditioned interface {
	GetConditions() []metav1.Condition
	SetConditions(conditions []metav1.Condition)
}

func TestConditions(t *testing.T) {
	for _, object := range []conditioned{
		&clusterv1.Cluster{}, &clusterv1.Machine{}, &clusterv1.MachineSet{}, &clusterv1.MachineDeployment{},
		&bootstrapv1.KubeadmConfig{}, &controlplanev1.KubeadmControlPlane{}, &addonsv1.ClusterResourceSet{},
		&infrav1.DockerCluster{}, &infrav1.DockerMachine{},
	} {
		object.SetConditions([]metav1.Condition{{Type: clusterv1.ReadyCondition}})
		if got := object.GetConditions(); len(got) != 1 || got[0].Type != "Ready" {
			t.Errorf("%T: conditions are %v", object, got)
		}
	}
}

// TestConditionNames holds the rule that the constant of a condition type or reason is its value with Condition or Reason
// behind it, so that nobody has to look one up.
func TestConditionNames(t *testing.T) {
	files, err := filepath.Glob("*/v1beta2/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("find files: %v, %v", files, err)
	}
	seen := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || spec.Type != nil || len(spec.Values) != 1 {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			name := spec.Names[0].Name
			if !ok || !strings.HasSuffix(name, "Condition") && !strings.HasSuffix(name, "Reason") {
				return true
			}
			seen++
			value, err := strconv.Unquote(literal.Value)
			if err != nil || name != value+"Condition" && name != value+"Reason" {
				t.Errorf("%s: constant %s is %s", file, name, literal.Value)
			}
			return true
		})
	}
	if seen < 100 {
		t.Errorf("only %d constants were found", seen)
	}
}

func TestBootstrapToken(t *testing.T) {
	for text, want := range map[string]string{
		`"abcdef.0123456789abcdef"`: "",
		`""`:                        "",
		`"abcdef"`:                  "parse bootstrap token: want six",
		`"ABCDEF.0123456789abcdef"`: "parse bootstrap token: want six",
		`5`:                         "parse bootstrap token",
	} {
		var token bootstrapv1.BootstrapTokenString
		err := json.Unmarshal([]byte(text), &token)
		if want == "" {
			if again, _ := json.Marshal(token); err != nil || string(again) != text {
				t.Errorf("%s is read as %s: %v", text, again, err)
			}
		} else if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: want an error with %q, got %v", text, want, err)
		} else if strings.Contains(fmt.Sprint(err), "0123456789") {
			t.Errorf("%s: the error repeats the token: %v", text, err)
		}
	}
}
