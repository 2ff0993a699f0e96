// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
	"github.com/slipway-project/slipway/plan"
)

// Controller puts a controller on a bench: engine.NewStepper with its types taken off.
type Controller func(engine.Bench) *engine.Stepper

// Options are what a World is made of.
type Options struct {
	// Scheme has the Go types of all kinds that the controllers read by their Go types.
	Scheme *runtime.Scheme
	// CRDs are those of the management cluster.
	CRDs []*apiextensionsv1.CustomResourceDefinition
	// Start is the time on the clock at the beginning.
	Start time.Time
	// Controllers get their turns in this order.
	Controllers []Controller
}

// World is a management cluster in memory with its controllers, its infrastructure and its
// workload clusters.
type World struct {
	// Store is the management cluster.
	Store *Store
	// Notes say in sentences what was taken for granted of others, sorted.
	Notes []string

	options  Options
	now      time.Time
	steppers []*engine.Stepper
	clusters map[types.NamespacedName]*workloadCluster
	// strangers are by kind, namespace and name the objects that are named after an
	// invented UID.
	strangers map[string]bool
	// evicted are the Pods whose eviction was asked for, counts the numbers of machines
	// that are asked for, by object: what of the trail is news follows from them.
	evicted map[plan.Ref]bool
	counts  map[string]int64
	trail   []Action
	turns   map[turnOf]*turn
	// beats counts changes that no store shows.
	beats uint64
}

// New makes an empty world.
func New(options Options) (*World, error) {
	w := &World{
		options: options, now: options.Start, clusters: map[types.NamespacedName]*workloadCluster{},
		strangers: map[string]bool{}, turns: map[turnOf]*turn{}, evicted: map[plan.Ref]bool{}, counts: map[string]int64{},
	}
	store, err := NewStore("management", options.Scheme, w.Now, options.CRDs)
	if err != nil {
		return nil, err
	}
	w.Store = store
	bench := engine.Bench{
		Scheme: options.Scheme, Reader: store, Live: store, Writer: store, Now: w.Now,
		Workloads: workloads{w}, Operators: map[string]engine.Operator{etcd.System: etcdOperator{w}},
	}
	for _, controller := range options.Controllers {
		w.steppers = append(w.steppers, controller(bench))
	}
	return w, nil
}

// Now is the time on the world's clock.
func (w *World) Now() time.Time { return w.now }

// Apply states an object in the management cluster by server-side apply, as
// "kubectl apply --server-side" does. The errors are those of an API server; what a
// server would refuse by its rules (CEL, admission) is not looked at.
func (w *World) Apply(object *unstructured.Unstructured, manager string, force bool) error {
	if _, err := w.Store.Merge(object, manager, force, ""); err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Accept takes over an object as an API server has made it out of an apply that it did not
// carry out (a dry run). One that is new gets a UID of this world.
func (w *World) Accept(object *unstructured.Unstructured) {
	object = object.DeepCopy()
	there := w.Store.held(object.GroupVersionKind().GroupKind(), types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()})
	if there == nil {
		object.SetResourceVersion("")
		w.Store.begin(object)
		return
	}
	object.SetUID(there.GetUID())
	w.Store.store(object)
}

// version counts all changes in the world.
func (w *World) version() uint64 {
	sum := w.Store.version + w.beats
	for _, c := range w.clusters {
		sum += c.store.version
	}
	return sum
}

// roleKind finds the version of a provider's kind, by the labels of its CRD.
func (w *World) roleKind(ref contract.Ref) (schema.GroupVersionKind, string, bool) {
	crd := w.Store.held(crdKind, types.NamespacedName{Name: contract.CRDName(ref.GroupKind())})
	if crd == nil {
		return schema.GroupVersionKind{}, "", false
	}
	contractVersion, apiVersion, ok := contract.Served(crd.GetLabels())
	return ref.GroupKind().WithVersion(apiVersion), contractVersion, ok
}

var crdKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// provided is the provider's object that a field refers to; nil when there is none.
func (w *World) provided(field clusterv1.ContractVersionedObjectReference, namespace string) *contract.Object {
	_, contractVersion, ok := w.roleKind(contract.RefFrom(field))
	if !ok {
		return nil
	}
	there := w.Store.held(contract.RefFrom(field).GroupKind(), types.NamespacedName{Namespace: namespace, Name: field.Name})
	if there == nil {
		return nil
	}
	return &contract.Object{Unstructured: there, Contract: contractVersion}
}

func (w *World) allClusters() []*clusterv1.Cluster {
	return decoded[clusterv1.Cluster](w.Store, clusterv1.GroupVersion.WithKind("Cluster"))
}

func (w *World) machines() []*clusterv1.Machine {
	return decoded[clusterv1.Machine](w.Store, clusterv1.GroupVersion.WithKind("Machine"))
}

// decoded are all objects of a kind in their Go type. One that does not have the form of its
// kind is left out, as a client that cannot decode it would.
func decoded[T any](store *Store, kind schema.GroupVersionKind) []*T {
	var all []*T
	for _, object := range store.All(kind.GroupKind()) {
		one := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.DeepCopy().Object, one); err == nil {
			all = append(all, one)
		}
	}
	return all
}

// edit changes an object on behalf of somebody who is played, through the door of a
// subresource or, where that is empty, the object's own.
func (s *Store) edit(object *unstructured.Unstructured, manager, subresource string, change func(content map[string]any)) (*unstructured.Unstructured, error) {
	after := object.DeepCopy()
	change(after.Object)
	managed, err := s.schemas.update(object.DeepCopy(), after, manager, subresource)
	if err != nil {
		return nil, fmt.Errorf("play %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return s.replace(object, managed, subresource), nil
}

// collectGarbage removes what all of whose owners are gone, as Kubernetes' garbage
// collector does in the background.
func (w *World) collectGarbage() {
	living := map[types.UID]bool{}
	for _, kind := range w.Store.Kinds() {
		for _, object := range w.Store.All(kind) {
			living[object.GetUID()] = true
		}
	}
	for _, kind := range w.Store.Kinds() {
		for _, object := range w.Store.All(kind) {
			owners := object.GetOwnerReferences()
			if len(owners) == 0 || object.GetDeletionTimestamp() != nil {
				continue
			}
			if !slices.ContainsFunc(owners, func(owner ownerReference) bool { return living[owner.UID] }) {
				w.Store.delete(object)
			}
		}
	}
}

// play gives everything that is not a controller one turn.
func (w *World) play() error {
	w.collectGarbage()
	for _, owner := range w.allClusters() {
		if err := w.playInfrastructure(owner); err != nil {
			return err
		}
	}
	for _, machine := range w.machines() {
		if err := w.playHooks(machine); err != nil {
			return err
		}
		if err := w.playHost(machine); err != nil {
			return err
		}
	}
	for _, c := range w.sortedClusters() {
		if err := c.play(); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) sortedClusters() []*workloadCluster {
	var all []*workloadCluster
	for _, c := range w.clusters {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *workloadCluster) int { return strings.Compare(a.key.String(), b.key.String()) })
	return all
}
