// SPDX-License-Identifier: Apache-2.0

// Package machines answers pure questions about machines and sets of them: which
// are whose, which goes first, what one is to be called, whether two templates make
// the same machine.
//
// It never reads or writes, and asks for neither time nor chance.
package machines

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
)

// MaxNameLength is the longest name that may be given to a machine: it becomes a
// label value.
const MaxNameLength = 63

// Paused says whether an object rests, and why: because its Cluster is paused or it
// carries the paused annotation. The reason is for a condition's message.
func Paused(cluster *clusterv1.Cluster, object metav1.Object) (paused bool, why string) {
	var reasons []string
	if cluster != nil && cluster.Spec.Paused != nil && *cluster.Spec.Paused {
		reasons = append(reasons, fmt.Sprintf("Cluster %s has spec.paused set to true", cluster.Name))
	}
	if _, ok := object.GetAnnotations()[clusterv1.PausedAnnotation]; ok {
		reasons = append(reasons, "the object has the annotation "+clusterv1.PausedAnnotation)
	}
	return len(reasons) > 0, strings.Join(reasons, ", and ")
}

// PausedCondition is the Paused condition of an object.
func PausedCondition(paused bool, why string) metav1.Condition {
	if paused {
		return conditions.True(clusterv1.PausedCondition, clusterv1.PausedReason, why)
	}
	return conditions.False(clusterv1.PausedCondition, clusterv1.NotPausedReason, "")
}

// LabelValue is a name as a label value: names may be longer than label values.
func LabelValue(name string) string {
	if len(name) <= MaxNameLength {
		return name
	}
	return "hash_" + Suffix(name)
}

// Deleting reports that a machine is on its way out.
func Deleting(machine *clusterv1.Machine) bool { return machine.DeletionTimestamp != nil }

// IsControlPlane reports that a machine is a member of a control plane.
func IsControlPlane(machine *clusterv1.Machine) bool {
	_, ok := machine.Labels[clusterv1.MachineControlPlaneLabel]
	return ok
}

// ControlledBy are the machines whose controller owner has the UID given.
func ControlledBy(all []*clusterv1.Machine, uid types.UID) []*clusterv1.Machine {
	var owned []*clusterv1.Machine
	for _, machine := range all {
		if owner := metav1.GetControllerOf(machine); owner != nil && owner.UID == uid {
			owned = append(owned, machine)
		}
	}
	return owned
}

// Names are those of the machines, sorted.
func Names(list []*clusterv1.Machine) []string {
	names := make([]string, len(list))
	for i, machine := range list {
		names[i] = machine.Name
	}
	slices.Sort(names)
	return names
}

// Counters are how many of some machines there are, and how many of them are ready,
// available and up to date, by their conditions.
type Counters struct {
	Replicas, Ready, Available, UpToDate int32
}

// Count counts machines. One on its way out is neither ready nor available, though its
// conditions may not say so yet.
func Count(list []*clusterv1.Machine) Counters {
	counters := Counters{Replicas: int32(len(list))}
	for _, machine := range list {
		if !Deleting(machine) && conditions.Is(machine.Status.Conditions, clusterv1.ReadyCondition, metav1.ConditionTrue) {
			counters.Ready++
		}
		if !Deleting(machine) && conditions.Is(machine.Status.Conditions, clusterv1.AvailableCondition, metav1.ConditionTrue) {
			counters.Available++
		}
		if conditions.Is(machine.Status.Conditions, clusterv1.UpToDateCondition, metav1.ConditionTrue) {
			counters.UpToDate++
		}
	}
	return counters
}

// Versions counts the Kubernetes versions of machines, by version.
func Versions(list []*clusterv1.Machine) []clusterv1.StatusVersion {
	counts := map[string]int32{}
	for _, machine := range list {
		if machine.Spec.Version != "" {
			counts[machine.Spec.Version]++
		}
	}
	var versions []clusterv1.StatusVersion
	for version, count := range counts {
		versions = append(versions, clusterv1.StatusVersion{Version: version, Replicas: count})
	}
	slices.SortFunc(versions, func(a, b clusterv1.StatusVersion) int { return cmp.Compare(a.Version, b.Version) })
	return versions
}

// Members are the machines' conditions of one type, for an aggregate.
func Members(list []*clusterv1.Machine, conditionType string) []conditions.Member {
	members := make([]conditions.Member, len(list))
	for i, machine := range list {
		members[i] = conditions.Member{Name: machine.Name, Condition: conditions.Find(machine.Status.Conditions, conditionType)}
	}
	slices.SortFunc(members, func(a, b conditions.Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}

// deletePriority is how soon a machine goes when a set shrinks (higher is sooner):
// one already going counts first, then one that the user or the autoscaler marked,
// then one that does not work, then one that is not available yet or may not be.
func deletePriority(machine *clusterv1.Machine) int {
	_, marked := machine.Annotations[clusterv1.DeleteMachineAnnotation]
	switch {
	case Deleting(machine):
		return 100
	case marked:
		return 80
	case !machine.Status.NodeRef.IsDefined(),
		conditions.Is(machine.Status.Conditions, clusterv1.NodeHealthyCondition, metav1.ConditionFalse),
		conditions.Is(machine.Status.Conditions, clusterv1.HealthCheckSucceededCondition, metav1.ConditionFalse):
		return 50
	case !conditions.Is(machine.Status.Conditions, clusterv1.AvailableCondition, metav1.ConditionTrue):
		return 40
	default:
		return 0
	}
}

// Fit reports that a machine is available, has a node, and nobody wants it gone: it goes
// after all that are not when a set shrinks.
func Fit(machine *clusterv1.Machine) bool { return deletePriority(machine) == 0 }

// DeletionOrder sorts machines by who goes first when a set shrinks. Among equals the
// order decides: Newest, Oldest, or Random, which is by a hash of the UID and so the
// same each time it is asked.
func DeletionOrder(list []*clusterv1.Machine, order clusterv1.MachineSetDeletionOrder) []*clusterv1.Machine {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b *clusterv1.Machine) int {
		if by := cmp.Compare(deletePriority(b), deletePriority(a)); by != 0 {
			return by
		}
		age := a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
		switch order {
		case clusterv1.NewestMachineSetDeletionOrder:
			age = -age
		case clusterv1.OldestMachineSetDeletionOrder:
		default:
			age = 0
		}
		return cmp.Or(age, cmp.Compare(hash(string(a.UID)), hash(string(b.UID))), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// SameMachines reports whether two machine templates make the same machines: fields
// that are changed in place (labels, annotations, readiness gates, deletion
// time-outs, minReadySeconds, taints) do not count.
func SameMachines(a, b clusterv1.MachineTemplateSpec) bool {
	return equality.Semantic.DeepEqual(rolloutFields(a), rolloutFields(b))
}

// InPlace are the fields of a machine's spec that are changed in place, as JSON
// pointers from where the spec is: "/spec" in a Machine.
func InPlace(spec string) []string {
	return []string{spec + "/readinessGates", spec + "/deletion", spec + "/minReadySeconds", spec + "/taints"}
}

func rolloutFields(template clusterv1.MachineTemplateSpec) clusterv1.MachineSpec {
	spec := *template.Spec.DeepCopy()
	spec.ReadinessGates, spec.Deletion, spec.MinReadySeconds, spec.Taints = nil, clusterv1.MachineDeletionSpec{}, nil, nil
	return spec
}

// Suffix is five letters and digits that follow from the parts given: where others
// use chance, a repeated attempt of ours arrives at the same name and so makes
// nothing twice. Vowels are left out, so that no words come about.
func Suffix(parts ...string) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	sum := hash(strings.Join(parts, "\x00"))
	out := make([]byte, 5)
	for i := range out {
		out[i] = letters[sum%uint64(len(letters))]
		sum /= uint64(len(letters))
	}
	return string(out)
}

func hash(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:8])
}

// Name renders a machine naming template, such as
// "{{ .machineSet.name }}-{{ .random }}". values are what the template may use
// besides .random. A result that is too long is shortened before the suffix; an
// error names the template and what is wrong with it.
func Name(naming string, values map[string]any, random string) (string, error) {
	parsed, err := template.New("machineNaming.template").Option("missingkey=error").Parse(naming)
	if err != nil {
		return "", fmt.Errorf("machineNaming.template %q: %w", naming, err)
	}
	if word := unbounded(parsed.Root); word != "" || len(parsed.Templates()) > 1 {
		return "", fmt.Errorf("machineNaming.template %q uses %s; only fields, if and with, and the functions %s can be used",
			naming, cmp.Or(word, "templates within it"), strings.Join(namingFunctions, ", "))
	}
	withRandom := map[string]any{"random": random}
	for key, value := range values {
		withRandom[key] = value
	}
	var out strings.Builder
	if err := parsed.Execute(&out, withRandom); err != nil {
		return "", fmt.Errorf("machineNaming.template %q: %w", naming, err)
	}
	name := out.String()
	if !strings.HasSuffix(name, random) {
		if len(name) > MaxNameLength {
			return "", fmt.Errorf("machineNaming.template %q gives %q, which is longer than %d characters", naming, name, MaxNameLength)
		}
		return name, nil
	}
	if len(name) > MaxNameLength {
		name = strings.TrimRight(name[:MaxNameLength-len(random)-1], "-.") + "-" + random
	}
	return name, nil
}

// namingFunctions are the functions of templates that take no more time and memory than
// the template has text.
var namingFunctions = []string{"and", "eq", "ge", "gt", "index", "le", "len", "lt", "ne", "not", "or", "slice"}

// unbounded finds what in a template could make it run or grow without bounds: who may
// write a template must not be able to stop the process that renders it. It is empty for
// a harmless one.
func unbounded(node parse.Node) string {
	switch node := node.(type) {
	case *parse.ListNode:
		if node == nil {
			return ""
		}
		return first(node.Nodes...)
	case *parse.TextNode, *parse.CommentNode, *parse.FieldNode, *parse.VariableNode, *parse.DotNode, *parse.NilNode,
		*parse.BoolNode, *parse.NumberNode, *parse.StringNode:
		return ""
	case *parse.ActionNode:
		return unbounded(node.Pipe)
	case *parse.PipeNode:
		if node == nil {
			return ""
		}
		for _, command := range node.Cmds {
			if word := first(command.Args...); word != "" {
				return word
			}
		}
		return ""
	case *parse.IfNode:
		return first(node.Pipe, node.List, node.ElseList)
	case *parse.WithNode:
		return first(node.Pipe, node.List, node.ElseList)
	case *parse.IdentifierNode:
		if slices.Contains(namingFunctions, node.Ident) {
			return ""
		}
		return node.Ident
	case *parse.ChainNode:
		return unbounded(node.Node)
	default:
		word, _, _ := strings.Cut(strings.Trim(node.String(), "{} "), " ")
		return word
	}
}

func first(nodes ...parse.Node) string {
	for _, node := range nodes {
		if word := unbounded(node); word != "" {
			return word
		}
	}
	return ""
}
