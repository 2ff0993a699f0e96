// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// fieldOwner is the field manager of installed objects.
const fieldOwner = "slipway-install"

// oldestKubernetes is the first release whose API server takes all rules of
// Slipway's CRDs; docs/adr/0003-api-types-and-no-webhooks.md says why.
var oldestKubernetes = version.MustParseGeneric("1.34")

// establishLimit bounds the wait for all CRDs to be served.
const establishLimit = 30 * time.Second

func installScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register core types: %w", err)
	}
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register CRD types: %w", err)
	}
	return scheme, nil
}

// Install brings objects into a cluster by server-side apply, in the order given but
// CRDs first, and returns when all CRDs are established. Installing the same
// again changes nothing. A CRD in the cluster that stores a version which the
// given one does not have is an error and nothing is changed: the objects were
// written by a newer slipway and this one could not read them.
//
// A server older than Kubernetes 1.34 is an error too, and nothing is written.
//
// Objects are of core Kubernetes types, CRDs, or unstructured. Conflicts with
// other field managers are decided in favour of what is given.
func Install(ctx context.Context, config *rest.Config, objects []client.Object) error {
	scheme, err := installScheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := refuseOldServer(config); err != nil {
		return err
	}
	var definitions, others []*unstructured.Unstructured
	for _, object := range objects {
		content, err := applyForm(scheme, object)
		if err != nil {
			return err
		}
		if content.GetKind() == "CustomResourceDefinition" {
			definitions = append(definitions, content)
		} else {
			others = append(others, content)
		}
	}
	var installed apiextensionsv1.CustomResourceDefinitionList
	if len(definitions) > 0 {
		if err := c.List(ctx, &installed); err != nil {
			return fmt.Errorf("list CRDs: %w", err)
		}
	}
	if err := refuseDowngrade(installed.Items, definitions); err != nil {
		return err
	}
	if err := apply(ctx, c, definitions); err != nil {
		return err
	}
	if err := awaitEstablished(ctx, c, definitions); err != nil {
		return err
	}
	return apply(ctx, c, others)
}

// refuseOldServer asks the server for its version. One that does not say it in a
// form that is known is given the benefit of the doubt.
func refuseOldServer(config *rest.Config) error {
	asking, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	told, err := asking.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", config.Host, err)
	}
	runs, err := version.ParseGeneric(told.GitVersion)
	if err != nil || runs.AtLeast(oldestKubernetes) {
		return nil
	}
	return fmt.Errorf("Slipway needs Kubernetes %d.%d or newer, and %s runs %s; nothing was installed: upgrade it, or use another management cluster",
		oldestKubernetes.Major(), oldestKubernetes.Minor(), config.Host, told.GitVersion)
}

// applyForm strips an object to what it wants to be.
func applyForm(scheme *runtime.Scheme, object client.Object) (*unstructured.Unstructured, error) {
	kind, err := apiutil.GVKForObject(object, scheme)
	if err != nil {
		return nil, fmt.Errorf("install %s: %w", object.GetName(), err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("install %s %s: %w", kind.Kind, object.GetName(), err)
	}
	u := (&unstructured.Unstructured{Object: content}).DeepCopy()
	u.SetGroupVersionKind(kind)
	u.SetManagedFields(nil)
	u.SetResourceVersion("")
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	// The rules of an aggregated role are the aggregation controller's. A type that has
	// none says "null", and to apply that would empty the role until they are filled again.
	if _, aggregated := u.Object["aggregationRule"]; aggregated {
		delete(u.Object, "rules")
	}
	return u, nil
}

func apply(ctx context.Context, c client.Client, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		var err error
		// Right after a start the caches of the API server may not have a namespace, a role or a
		// kind yet that was made a moment ago.
		for range 20 {
			err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.FieldOwner(fieldOwner), client.ForceOwnership)
			if err == nil || !isPassing(err) || pause(ctx, 250*time.Millisecond) != nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("install %s %s: %w", object.GetKind(), client.ObjectKeyFromObject(object), err)
		}
	}
	return nil
}

// isPassing knows the refusals that end by themselves within moments.
func isPassing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err)
}

func refuseDowngrade(installed []apiextensionsv1.CustomResourceDefinition, definitions []*unstructured.Unstructured) error {
	var refused []string
	for _, definition := range definitions {
		var known []string
		versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
		if err != nil {
			return fmt.Errorf("read versions of CRD %s: %w", definition.GetName(), err)
		}
		for _, version := range versions {
			if fields, ok := version.(map[string]any); ok {
				name, _, _ := unstructured.NestedString(fields, "name")
				known = append(known, name)
			}
		}
		for _, present := range installed {
			if present.Name != definition.GetName() {
				continue
			}
			for _, stored := range present.Status.StoredVersions {
				if !slices.Contains(known, stored) {
					refused = append(refused, fmt.Sprintf("%s stores version %s, this slipway knows %s", present.Name, stored, strings.Join(known, ", ")))
				}
			}
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("the data was written by a newer slipway (%s): run that one or a newer one, or set %s to another directory",
		strings.Join(refused, "; "), HomeVariable)
}

func awaitEstablished(ctx context.Context, c client.Client, definitions []*unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeoutCause(ctx, establishLimit, errNotReadyInTime)
	defer cancel()
	waiting := make(map[string]string, len(definitions))
	for _, definition := range definitions {
		waiting[definition.GetName()] = "not served yet"
	}
	for len(waiting) > 0 {
		var all apiextensionsv1.CustomResourceDefinitionList
		if err := c.List(ctx, &all); err != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for CRDs: %w", err)
		}
		for i := range all.Items {
			name := all.Items[i].Name
			if _, ours := waiting[name]; !ours {
				continue
			}
			established, why := establishment(&all.Items[i])
			if established {
				delete(waiting, name)
			} else {
				waiting[name] = why
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			if errors.Is(err, errNotReadyInTime) {
				return fmt.Errorf("wait for CRDs: not established within %s: %v", establishLimit, waiting)
			}
			return fmt.Errorf("wait for CRDs: %w", err)
		}
	}
	return nil
}

func establishment(definition *apiextensionsv1.CustomResourceDefinition) (bool, string) {
	for _, condition := range definition.Status.Conditions {
		switch {
		case condition.Type == apiextensionsv1.NamesAccepted && condition.Status == apiextensionsv1.ConditionFalse:
			return false, condition.Message
		case condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue:
			return true, ""
		}
	}
	return false, "not served yet"
}
