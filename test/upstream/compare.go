// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// object is a JSON object as sigs.k8s.io/yaml decodes it.
type object = map[string]any

// A difference is one place where our CRD is not upstream's.
type difference struct {
	// Path is where, in the dotted form of additions.yaml: spec.replicas, spec.files[], metadata{} for map values. The
	// head of a CRD (names, columns and so on) has paths that begin with "crd:".
	Path string

	// Kind is missing or changed, which no declaration excuses, or what is too much: field, default, rule or bound.
	Kind string

	// What says more: the attribute, and both values.
	What string
}

func (d difference) String() string { return fmt.Sprintf("%s: %s %s", d.Path, d.Kind, d.What) }

// ours names the attributes of a schema that may be more in ours than in upstream's if additions.yaml says so. All other
// attributes have to be equal.
var additionKinds = map[string]string{
	"default":   "default",
	"maxLength": "bound",
	"minLength": "bound",
	"maxItems":  "bound",
	"minimum":   "bound",
	"maximum":   "bound",
	"pattern":   "bound",

	"maxProperties": "bound",
}

// compareSchemas returns the differences between two schemas of one place, and of all places below it.
func compareSchemas(path string, theirs, ours object) []difference {
	var found []difference
	report := func(kind, format string, args ...any) {
		found = append(found, difference{Path: path, Kind: kind, What: fmt.Sprintf(format, args...)})
	}
	for _, key := range sortedKeys(theirs, ours) {
		their, theyHave := theirs[key]
		our, weHave := ours[key]
		switch key {
		case "description":
		case "properties":
			found = append(found, compareProperties(path, asObject(their), asObject(our))...)
		case "items", "additionalProperties":
			theirSchema, theirIsSchema := their.(object)
			ourSchema, ourIsSchema := our.(object)
			if !theirIsSchema || !ourIsSchema {
				if !reflect.DeepEqual(their, our) {
					report("changed", "%s: upstream has %v, we have %v", key, their, our)
				}
				continue
			}
			found = append(found, compareSchemas(path+map[string]string{"items": "[]", "additionalProperties": "{}"}[key], theirSchema, ourSchema)...)
		case "x-kubernetes-validations":
			found = append(found, compareRules(path, asList(their), asList(our))...)
		case "required", "enum":
			// Order means nothing in either.
			if missing, extra := setDifference(asList(their), asList(our)); len(missing)+len(extra) > 0 {
				report("changed", "%s: we lack %v and add %v", key, missing, extra)
			}
		default:
			switch {
			case theyHave && !weHave:
				report("missing", "%s: upstream has %v", key, their)
			case !theyHave && additionKinds[key] != "":
				report(additionKinds[key], "%s: %v", key, our)
			case !reflect.DeepEqual(their, our):
				report("changed", "%s: upstream has %v, we have %v", key, their, our)
			}
		}
	}
	return found
}

func compareProperties(path string, theirs, ours object) []difference {
	var found []difference
	for _, name := range sortedKeys(theirs, ours) {
		at := strings.TrimPrefix(path+"."+name, ".")
		_, theyHave := theirs[name]
		_, weHave := ours[name]
		switch {
		case !weHave:
			found = append(found, difference{Path: at, Kind: "missing", What: "field"})
		case !theyHave:
			found = append(found, difference{Path: at, Kind: "field", What: "that upstream does not have"})
		default:
			found = append(found, compareSchemas(at, asObject(theirs[name]), asObject(ours[name]))...)
		}
	}
	return found
}

// compareRules compares CEL rules by what they demand. Messages are ours to choose.
func compareRules(path string, theirs, ours []any) []difference {
	var found []difference
	demands := func(rules []any) []any {
		var texts []any
		for _, rule := range rules {
			texts = append(texts, strings.Join(strings.Fields(fmt.Sprint(asObject(rule)["rule"])), " "))
		}
		return texts
	}
	missing, extra := setDifference(demands(theirs), demands(ours))
	for _, rule := range missing {
		found = append(found, difference{Path: path, Kind: "missing", What: fmt.Sprintf("rule: %v", rule)})
	}
	for _, rule := range extra {
		found = append(found, difference{Path: path, Kind: "rule", What: fmt.Sprintf("rule: %v", rule)})
	}
	return found
}

// compareHeads compares what a CRD says besides its schema: group, names, scope, the version's flags, subresources and
// printer columns.
func compareHeads(theirs, ours object) []difference {
	var found []difference
	compare := func(path string, their, our any) {
		if !reflect.DeepEqual(their, our) {
			found = append(found, difference{Path: "crd:" + path, Kind: "changed", What: fmt.Sprintf("upstream has %v, we have %v", their, our)})
		}
	}
	theirSpec, ourSpec := asObject(theirs["spec"]), asObject(ours["spec"])
	compare("group", theirSpec["group"], ourSpec["group"])
	compare("scope", theirSpec["scope"], ourSpec["scope"])
	for _, key := range sortedKeys(asObject(theirSpec["names"]), asObject(ourSpec["names"])) {
		compare("names."+key, asObject(theirSpec["names"])[key], asObject(ourSpec["names"])[key])
	}
	theirVersion, ourVersion := versionOf(theirs), versionOf(ours)
	for _, key := range sortedKeys(theirVersion, ourVersion) {
		switch key {
		case "schema":
		case "deprecated", "deprecationWarning":
			// Upstream gives up its Docker kinds in favour of others; here they stay.
		case "additionalPrinterColumns":
			compare(key, columns(theirVersion), columns(ourVersion))
		default:
			compare(key, theirVersion[key], ourVersion[key])
		}
	}
	return found
}

// columns returns the printer columns of a version, in order, without their descriptions.
func columns(version object) []object {
	var kept []object
	for _, column := range asList(version["additionalPrinterColumns"]) {
		column := maps.Clone(asObject(column))
		delete(column, "description")
		kept = append(kept, column)
	}
	return kept
}

// compareCRDs returns all differences between upstream's and our definition of one kind, at version v1beta2.
func compareCRDs(theirs, ours object) []difference {
	found := compareHeads(theirs, ours)
	return append(found, compareSchemas("", schemaOf(theirs), schemaOf(ours))...)
}

// versionOf returns version v1beta2 of a CRD: nil if it has none.
func versionOf(crd object) object {
	for _, version := range asList(asObject(crd["spec"])["versions"]) {
		if asObject(version)["name"] == "v1beta2" {
			return asObject(version)
		}
	}
	return nil
}

func schemaOf(crd object) object {
	return asObject(asObject(versionOf(crd)["schema"])["openAPIV3Schema"])
}

func asObject(value any) object {
	typed, _ := value.(object)
	return typed
}

func asList(value any) []any {
	typed, _ := value.([]any)
	return typed
}

func sortedKeys(a, b object) []string {
	all := slices.Collect(maps.Keys(a))
	all = slices.AppendSeq(all, maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

// setDifference returns what only theirs has and what only ours has.
func setDifference(theirs, ours []any) (missing, extra []any) {
	for _, their := range theirs {
		if !slices.ContainsFunc(ours, func(our any) bool { return reflect.DeepEqual(their, our) }) {
			missing = append(missing, their)
		}
	}
	for _, our := range ours {
		if !slices.ContainsFunc(theirs, func(their any) bool { return reflect.DeepEqual(their, our) }) {
			extra = append(extra, our)
		}
	}
	return missing, extra
}
