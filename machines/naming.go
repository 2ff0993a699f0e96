// SPDX-License-Identifier: Apache-2.0

package machines

import (
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NextAnnotation on an owner of machines holds the ordinal that the next machine is named
// by. Without it that is the first whose name no machine has.
const NextAnnotation = "slipway.dev/next-machine"

// Naming gives the machines of an owner their names, which follow from the owner's UID and
// an ordinal. A plan that is made twice, or made again from a cache that is behind, arrives
// at the same names and so makes nothing twice. A name is not given again after its machine
// is gone, because things that were named after it may still be about to go: the ordinal
// is noted on the owner before that, see Note.
type Naming struct {
	// Template is a naming template, as Name takes it, Values what it may use.
	Template string
	Values   map[string]any
	Owner    metav1.Object
	// There are the machines that the owner has, those on their way out among them.
	There []string
}

// Next are the names of so many machines more.
func (n Naming) Next(count int) ([]string, error) {
	names := make([]string, 0, count)
	for ordinal := n.noted(); len(names) < count; ordinal++ {
		name, err := n.name(ordinal)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(n.There, name) && !slices.Contains(names, name) {
			names = append(names, name)
			continue
		}
		// Each machine takes one ordinal at most, so more misses mean that the ordinal makes no difference.
		if ordinal-n.noted() > len(n.There)+count {
			return nil, fmt.Errorf("machineNaming.template %q gives only names that other Machines have; use {{ .random }} in it", n.Template)
		}
	}
	return names, nil
}

// Note is the value that NextAnnotation has to get before a machine goes; needed is false
// when it has it, or when names cannot be given at all.
func (n Naming) Note() (value string, needed bool) {
	// A machine that went while nothing could be noted, as of an owner that is paused,
	// leaves a hole: a few of them are looked across.
	const holes = 10
	next, previous := n.noted(), ""
	for ordinal := next; ordinal < n.noted()+len(n.There)+holes; ordinal++ {
		name, err := n.name(ordinal)
		if err != nil || name == previous {
			return "", false
		}
		if slices.Contains(n.There, name) {
			next = ordinal + 1
		}
		previous = name
	}
	return strconv.Itoa(next), next > n.noted()
}

func (n Naming) noted() int {
	ordinal, err := strconv.Atoi(n.Owner.GetAnnotations()[NextAnnotation])
	if err != nil || ordinal < 0 {
		return 0
	}
	return ordinal
}

func (n Naming) name(ordinal int) (string, error) {
	return Name(n.Template, n.Values, Suffix(string(n.Owner.GetUID()), strconv.Itoa(ordinal)))
}
