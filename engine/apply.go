// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/plan"
)

// errChanged says that an object is no longer what the plan was made from.
var errChanged = errors.New("the object changed since it was read")

// retryNow reports an error that a new plan, made from what is there now, answers.
func retryNow(err error) bool { return apierrors.IsConflict(err) || errors.Is(err, errChanged) }

// do carries out one action and remembers the write for the barrier.
func (r *run) do(ctx context.Context, state *keyState, action plan.Action) error {
	err := r.carryOut(ctx, state, action)
	if err == nil && r.noted != nil {
		r.noted(action)
	}
	return err
}

func (r *run) carryOut(ctx context.Context, state *keyState, action plan.Action) error {
	if operate, ok := action.(plan.Operate); ok {
		operator, ok := r.engine.options.Operators[operate.System]
		if !ok {
			return fmt.Errorf("%s: this process has no operator for system %q", operate, operate.System)
		}
		return operator.Operate(ctx, operate.Operation)
	}
	target := action.Target()
	writer, err := r.writerFor(ctx, target)
	if err != nil {
		return err
	}
	owner := r.manager
	if apply, ok := action.(plan.Apply); ok {
		owner = plan.Manager(r.name, apply.Aspect)
	}
	result, err := perform(ctx, writer, action, client.FieldOwner(owner))
	if err != nil || result == nil || target.Cluster.Name != "" {
		return err
	}
	result.at = r.engine.now()
	state.writes = append(state.writes, *result)
	return nil
}

func (r *run) writerFor(ctx context.Context, target plan.Ref) (client.Client, error) {
	if target.Cluster.Name == "" {
		return r.engine.writer, nil
	}
	if r.engine.options.Workloads == nil {
		return nil, fmt.Errorf("write %s: %w", target, ErrNotConnected)
	}
	return r.engine.options.Workloads.Writer(ctx, target.Cluster)
}

// perform makes the one request that an action stands for. The result is nil when
// there is nothing for a cache to show.
func perform(ctx context.Context, writer client.Client, action plan.Action, owner client.FieldOwner) (*written, error) {
	switch action := action.(type) {
	case plan.Create:
		object := action.Object.DeepCopy()
		if err := writer.Create(ctx, object, owner); err != nil {
			if apierrors.IsAlreadyExists(err) {
				return adopt(ctx, writer, action)
			}
			return nil, err
		}
		return writeOf(object, true), nil
	case plan.Apply:
		return performApply(ctx, writer, action, owner)
	case plan.Patch:
		return performPatch(ctx, writer, action, owner)
	case plan.Delete:
		object := unstructuredOf(action.On.GroupVersionKind)
		object.SetNamespace(action.On.Namespace)
		object.SetName(action.On.Name)
		uid := action.On.UID
		err := writer.Delete(ctx, object, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil {
			return nil, client.IgnoreNotFound(err)
		}
		return &written{kind: action.On.GroupVersionKind, key: client.ObjectKeyFromObject(object), uid: uid, deleted: true}, nil
	case plan.Evict:
		return nil, performEvict(ctx, writer, action)
	default:
		return nil, fmt.Errorf("%s: no way to carry out a %T", action, action)
	}
}

// performEvict asks for an eviction. What the budgets refuse is left for the next plan,
// and so is a Pod that was replaced by another one of its name, or whose namespace is being
// deleted, with which it goes: all that shows in what is read next.
func performEvict(ctx context.Context, writer client.Client, action plan.Evict) error {
	uid := action.On.UID
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: action.On.Namespace, Name: action.On.Name}}
	err := writer.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{
			GracePeriodSeconds: action.GracePeriodSeconds, Preconditions: &metav1.Preconditions{UID: &uid},
		},
	})
	ending := apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
	if apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || ending {
		return nil
	}
	return client.IgnoreNotFound(err)
}

func performApply(ctx context.Context, writer client.Client, action plan.Apply, owner client.FieldOwner) (*written, error) {
	object := action.Object.DeepCopy()
	configuration := client.ApplyConfigurationFromUnstructured(object)
	var err error
	if action.Subresource == "status" {
		err = writer.Status().Apply(ctx, configuration, owner, client.ForceOwnership)
	} else {
		err = writer.Apply(ctx, configuration, owner, client.ForceOwnership)
	}
	if err != nil {
		if apierrors.IsNotFound(err) && !action.Creates {
			return nil, fmt.Errorf("%w: it is gone: %w", errChanged, err)
		}
		return nil, err
	}
	return writeOf(object, action.Creates), nil
}

func performPatch(ctx context.Context, writer client.Client, action plan.Patch, owner client.FieldOwner) (*written, error) {
	raw, err := json.Marshal(action.Operations)
	if err != nil {
		return nil, fmt.Errorf("write patch of %s: %w", action.On, err)
	}
	object := unstructuredOf(action.On.GroupVersionKind)
	object.SetNamespace(action.On.Namespace)
	object.SetName(action.On.Name)
	err = writer.Patch(ctx, object, client.RawPatch(types.JSONPatchType, raw), owner)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case testFailed(err):
		return nil, fmt.Errorf("%w: %w", errChanged, err)
	case err != nil:
		return nil, err
	}
	return writeOf(object, false), nil
}

// testFailed reports the server's answer to a patch with a test that fails. An object
// that would not be valid after the patch is answered with the same code, but then the
// fields at fault are told; that is for somebody to see, and no new plan helps.
func testFailed(err error) bool {
	if !apierrors.IsInvalid(err) {
		return apierrors.IsBadRequest(err)
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && (status.Status().Details == nil || len(status.Status().Details.Causes) == 0)
}

// adopt takes an object that exists already for ours if it has the same controller
// owner: then an earlier attempt, of which nothing is remembered, made it.
func adopt(ctx context.Context, reader client.Reader, action plan.Create) (*written, error) {
	existing := unstructuredOf(action.Object.GroupVersionKind())
	if err := reader.Get(ctx, client.ObjectKeyFromObject(action.Object), existing); err != nil {
		return nil, fmt.Errorf("read %s, which exists already: %w", action.Target(), err)
	}
	wanted, there := metav1.GetControllerOf(action.Object), metav1.GetControllerOf(existing)
	switch {
	case wanted != nil && there != nil && wanted.UID == there.UID:
		return writeOf(existing, true), nil
	case wanted == nil && there == nil:
		return writeOf(existing, true), nil
	case there != nil:
		return nil, taken{fmt.Errorf("%s exists already and belongs to %s %s; rename or delete one of them", action.Target(), there.Kind, there.Name)}
	default:
		return nil, taken{fmt.Errorf("%s exists already and belongs to nobody; delete it if it is not needed, or set its controller owner to %s %s", action.Target(), wanted.Kind, wanted.Name)}
	}
}

// taken is a name that somebody else has.
type taken struct{ error }

func (taken) FailureReason() string { return "NameTaken" }
func (t taken) Unwrap() error       { return t.error }

func writeOf(object *unstructured.Unstructured, made bool) *written {
	return &written{
		kind: object.GroupVersionKind(), key: client.ObjectKeyFromObject(object),
		uid: object.GetUID(), resourceVersion: object.GetResourceVersion(), made: made,
	}
}

func unstructuredOf(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object
}
