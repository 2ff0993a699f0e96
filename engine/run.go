// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/slipway-project/slipway/plan"
)

// run is one controller at work.
type run struct {
	engine      *Engine
	name        string
	manager     string // field manager
	kind        schema.GroupVersionKind
	inputs      []Input
	outputs     []Output
	concurrency int
	log         logr.Logger
	recorder    events.EventRecorder
	watch       func(source.Source) error
	think       func(context.Context, *reader, Key) (*thought, error)
	// noted is told of each action that was carried out; nil where nobody asks.
	noted func(plan.Action)
	// typed are the kinds that the controller reads by their Go type, and so never by
	// the contract.
	typed map[schema.GroupKind]bool

	mu      sync.Mutex
	reads   map[schema.GroupVersionKind]client.Object
	watched map[string]bool
	keys    map[Key]*keyState
	// awaited are, by name of a CRD, the keys that could not be observed for want of it.
	awaited map[string]map[Key]bool
}

// keyState is what the engine remembers of one key between passes. Losing it (a
// restart) costs a little work and never correctness.
type keyState struct {
	// uid is the object that all of this is about: another one under the same name
	// begins anew.
	uid     types.UID
	writes  []written
	failure *plan.Failure
	outcome plan.Outcome
	eventAt time.Time
	refused string
	retries int

	// tried is the list of actions carried out last, by a hash; repeats is how often
	// in a row, and before notBefore it is not carried out again. Without this, a plan
	// that succeeds and changes nothing would be made as fast as the machine can.
	tried     string
	repeats   int
	notBefore time.Time
	// failing are the lists of actions that failed, by what they do to which object: a
	// failed action may hold other bytes each time, such as a key that is made afresh.
	// They are several, because two that fail can take turns.
	failing map[string]failing
}

// failing is a list of actions that failed the last time it was tried.
type failing struct {
	count     int
	said      string
	notBefore time.Time
}

// failingKept is for how long after its time a list that failed and was not tried again
// is remembered.
const failingKept = time.Minute

// thought is what a controller made of a key, with the types taken off.
type thought struct {
	subject  client.Object
	outcome  plan.Outcome
	actions  []plan.Action
	status   *unstructured.Unstructured
	recheck  time.Time
	broken   []string
	printout func() string
}

func newRun(e *Engine, name string, kind schema.GroupVersionKind, inputs []Input, outputs []Output) *run {
	return &run{
		engine: e, name: name, manager: plan.Manager(name), kind: kind, inputs: inputs, outputs: outputs,
		log:      e.manager.GetLogger().WithName(name),
		recorder: e.manager.GetEventRecorder("slipway-" + name),
		typed:    typedKinds(e, inputs),
		reads:    map[schema.GroupVersionKind]client.Object{},
		watched:  map[string]bool{},
		awaited:  map[string]map[Key]bool{},
		keys:     map[Key]*keyState{},
	}
}

func typedKinds(e *Engine, inputs []Input) map[schema.GroupKind]bool {
	kinds := map[schema.GroupKind]bool{}
	for _, input := range inputs {
		if _, partial := input.object.(*metav1.PartialObjectMetadata); input.object != nil && !input.Live && !partial {
			kinds[e.kindOf(input.object).GroupKind()] = true
		}
	}
	return kinds
}

// thinking closes over a controller's types: observe, then plan, then check.
func thinking[Snapshot, Status any](r *run, c Controller[Snapshot, Status]) func(context.Context, *reader, Key) (*thought, error) {
	return func(ctx context.Context, reader *reader, key Key) (*thought, error) {
		snapshot, err := c.Observe(ctx, reader, key)
		if err != nil {
			return nil, err
		}
		subject := c.Subject(snapshot)
		if subject == nil {
			return nil, nil
		}
		decided := c.Plan(snapshot)
		broken := plan.Check(decided)
		if c.Invariants != nil {
			broken = append(broken, c.Invariants(snapshot, decided)...)
		}
		for _, action := range decided.Actions {
			if !allowed(r.outputs, action, r.engine.contracts.plays) {
				broken = append(broken, fmt.Sprintf("%s: controller %s declares no such output", action, r.name))
			}
		}
		status, err := plan.StatusIntent(c.Kind, subject, &decided.Status)
		if err != nil {
			return nil, err
		}
		return &thought{
			subject: subject, outcome: decided.Outcome, actions: decided.Actions, status: status, recheck: decided.Recheck, broken: broken,
			printout: func() string { return plan.Print(decided, reader.now) },
		}, nil
	}
}

// reconcile is one pass over one key.
func (r *run) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	key := request.NamespacedName
	state := r.state(key)
	left, err := r.unseen(ctx, state.writes)
	if err != nil {
		return reconcile.Result{}, err
	}
	state.writes = left
	if len(left) > 0 {
		barrierWaits.WithLabelValues(r.name).Inc()
		// The longer a write stays unseen, the less soon it is looked for again.
		age := r.engine.now().Sub(left[0].at)
		return reconcile.Result{RequeueAfter: min(max(age/10, 10*time.Millisecond), time.Second)}, nil
	}

	reader := &reader{Reader: r.engine.cache, run: r, key: key, now: r.engine.now(), failure: state.failure}
	thought, err := r.think(ctx, reader, key)
	if err != nil {
		r.count(plan.Outcome{Kind: "Error", Reason: "ObserveFailed"})
		return reconcile.Result{}, fmt.Errorf("%s %s: %w", r.kind.Kind, key, err)
	}
	if thought == nil {
		r.forget(key)
		return reconcile.Result{}, nil
	}
	if state.concern(thought.subject.GetUID()) {
		// The plan was made with what is remembered of another object.
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	}
	r.count(thought.outcome)
	if reader.awaits {
		// The CRD's event wakes the key, unless the API takes a moment longer to serve it.
		thought.recheck = plan.Earliest(thought.recheck, reader.now.Add(providerRecheck))
	}
	if len(thought.broken) > 0 {
		return r.refuse(key, state, thought), nil
	}
	r.tell(key, state, thought)
	if r.engine.options.DryRun {
		r.log.Info("dry run: nothing is written", "object", key.String(), "plan", thought.printout())
		return reconcile.Result{}, nil
	}
	return r.apply(ctx, key, state, thought)
}

// apply writes the status and carries out the actions in order, and stops at the
// first that fails. A status that the server refuses does not stop the actions: a
// deletion must not hang on what is shown of it.
func (r *run) apply(ctx context.Context, key Key, state *keyState, thought *thought) (reconcile.Result, error) {
	statusErr := r.writeStatus(ctx, state, thought)
	if statusErr != nil && retryNow(statusErr) {
		return state.retry(), nil
	}
	signature, outline := signatureOf(thought.actions), outlineOf(thought)
	if held := state.held(signature, outline, r.engine.now()); held > 0 {
		return reconcile.Result{RequeueAfter: held}, statusErr
	}
	for _, action := range thought.actions {
		err := r.do(ctx, state, action)
		countAction(r.name, action, err)
		if err == nil {
			r.event(thought.subject, "Normal", thought.outcome.Reason, "Act", fmt.Sprintf("%s: %s", action, action.Because()))
			continue
		}
		if retryNow(err) && (state.retries < retriesToTell || !refused(err)) {
			r.log.V(1).Info("the object changed meanwhile; planning again", "object", key.String(), "action", action.String(), "error", err.Error())
			return state.retry(), nil
		}
		return r.failed(key, state, thought, action, outline, err), nil
	}
	failed := state.failure != nil
	state.failure, state.retries = nil, 0
	if statusErr != nil {
		return reconcile.Result{}, fmt.Errorf("%s %s: write status: %w", r.kind.Kind, key, statusErr)
	}
	if len(thought.actions) > 0 {
		delete(state.failing, outline)
		r.observeLatency(key)
		return reconcile.Result{RequeueAfter: r.done(state, signature)}, nil
	}
	state.tried, state.repeats = "", 0
	r.dropEvent(key)
	if failed {
		// The status still shows what failed, and there is no event to come.
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	}
	if !thought.recheck.IsZero() {
		return reconcile.Result{RequeueAfter: max(thought.recheck.Sub(r.engine.now()), 10*time.Millisecond)}, nil
	}
	return reconcile.Result{}, nil
}

// retriesToTell is after how many refusals in a row of a patch it is told as a failure:
// the server answers alike when the patch's tests do not hold and when what it would
// make is invalid, and the latter no new plan mends.
const retriesToTell = 6

func refused(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }

// signatureOf tells one list of actions, with all they hold, from another; empty for
// none.
func signatureOf(actions []plan.Action) string {
	if len(actions) == 0 {
		return ""
	}
	hash := sha256.New()
	for _, action := range actions {
		fmt.Fprintln(hash, action)
		if err := json.NewEncoder(hash).Encode(action); err != nil {
			fmt.Fprintf(hash, "%+v\n", action)
		}
	}
	return string(hash.Sum(nil))
}

// outlineOf tells what the actions do to which objects, without what they hold. The
// subject's generation is part of it: who corrects the spec is not made to wait.
func outlineOf(thought *thought) string {
	if len(thought.actions) == 0 {
		return ""
	}
	var out strings.Builder
	fmt.Fprintln(&out, thought.subject.GetGeneration())
	for _, action := range thought.actions {
		fmt.Fprintln(&out, action.Verb(), action.Target())
		if operate, ok := action.(plan.Operate); ok {
			fmt.Fprintln(&out, operate)
		}
	}
	return out.String()
}

// held is for how long the same actions are not to be carried out again; 0 for others.
func (s *keyState) held(signature, outline string, now time.Time) time.Duration {
	if signature == "" {
		return 0
	}
	until := s.failing[outline].notBefore
	if signature == s.tried && s.notBefore.After(until) {
		until = s.notBefore
	}
	return max(until.Sub(now), 0)
}

// concern reports that the key's object has been replaced by another one, and forgets what
// was of the earlier one. What was written stays: the cache has still to show it.
func (s *keyState) concern(uid types.UID) (replaced bool) {
	replaced = s.uid != "" && s.uid != uid
	s.uid = uid
	if replaced {
		s.failure, s.outcome, s.refused, s.retries = nil, plan.Outcome{}, "", 0
		s.tried, s.repeats, s.notBefore, s.failing = "", 0, time.Time{}, nil
	}
	return replaced
}

// providerRecheck is how often a key that waits for a provider is looked at without an
// event.
const providerRecheck = 10 * time.Second

// done notes that actions were carried out, and gives the pause before the next plan:
// none to speak of, unless the very same ones had just been carried out before.
func (r *run) done(state *keyState, signature string) time.Duration {
	if signature != state.tried {
		state.tried, state.repeats, state.notBefore = signature, 0, time.Time{}
		return time.Millisecond
	}
	state.repeats++
	plansRepeated.WithLabelValues(r.name).Inc()
	pause := min(time.Duration(1<<min(state.repeats, 12))*10*time.Millisecond, 10*time.Second)
	state.notBefore = r.engine.now().Add(pause)
	return pause
}

// retry plans again soon, and less soon each time: the object may really be
// changing that fast, or a precondition may never hold.
func (s *keyState) retry() reconcile.Result {
	s.retries++
	return reconcile.Result{RequeueAfter: min(time.Duration(1<<min(s.retries, 10))*10*time.Millisecond, 5*time.Second)}
}

// failed remembers what went wrong for the next plan, and says it once.
func (r *run) failed(key Key, state *keyState, thought *thought, action plan.Action, outline string, err error) reconcile.Result {
	now := r.engine.now()
	before := state.failing[outline]
	failure := &plan.Failure{Action: action.String(), Reason: "ActionFailed", Message: err.Error(), At: now, Count: before.count + 1}
	var reasoned interface{ FailureReason() string }
	if errors.As(err, &reasoned) {
		failure.Reason = reasoned.FailureReason()
	}
	said := failure.Action + ": " + failure.Message
	if before.said != said {
		r.log.Error(err, "action failed", "object", key.String(), "action", failure.Action, "reason", failure.Reason)
		r.event(thought.subject, "Warning", failure.Reason, "Act", said)
	}
	state.failure = failure
	pause := min(time.Duration(1<<min(failure.Count, 8))*100*time.Millisecond, 20*time.Second)
	state.fails(outline, failing{count: failure.Count, said: said, notBefore: now.Add(pause)}, now)
	// The failure is part of the next snapshot, so the plan is made again at once to
	// show it; the actions are tried again when the pause is over.
	return reconcile.Result{RequeueAfter: 10 * time.Millisecond}
}

// fails remembers a list that failed, and forgets those that were not tried again.
func (s *keyState) fails(outline string, what failing, now time.Time) {
	if s.failing == nil {
		s.failing = map[string]failing{}
	}
	maps.DeleteFunc(s.failing, func(_ string, old failing) bool { return now.Sub(old.notBefore) > failingKept })
	s.failing[outline] = what
}

// event records an event. The API takes 1024 bytes of text: what is longer is cut.
func (r *run) event(subject client.Object, eventType, reason, action, text string) {
	const limit = 1000
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + " ..."
	}
	r.recorder.Eventf(subject, nil, eventType, reason, action, "%s", text)
}

// refuse reports a plan that breaks a rule. It is not carried out; other keys go on.
func (r *run) refuse(key Key, state *keyState, thought *thought) reconcile.Result {
	text := fmt.Sprint(thought.broken)
	if state.refused != text {
		state.refused = text
		r.log.Error(nil, "a plan breaks an invariant and is refused; this is a defect in Slipway, please report it with this text",
			"object", key.String(), "broken", thought.broken, "plan", thought.printout())
		r.event(thought.subject, "Warning", "PlanRefused", "Plan", text)
	}
	plansRefused.WithLabelValues(r.name).Inc()
	return reconcile.Result{RequeueAfter: 30 * time.Second}
}

// tell logs an outcome when it is news.
func (r *run) tell(key Key, state *keyState, thought *thought) {
	state.refused = ""
	if state.outcome == thought.outcome && len(thought.actions) == 0 {
		return
	}
	if state.outcome != thought.outcome && thought.outcome.Kind == plan.Blocked {
		r.event(thought.subject, "Warning", thought.outcome.Reason, "Plan", thought.outcome.Message)
	}
	state.outcome = thought.outcome
	actions := make([]string, len(thought.actions))
	for i, action := range thought.actions {
		actions[i] = action.String()
	}
	values := []any{"object", key.String(), "reason", thought.outcome.Reason}
	if thought.outcome.Message != "" {
		values = append(values, "message", thought.outcome.Message)
	}
	if len(actions) > 0 {
		values = append(values, "actions", actions)
	}
	r.log.Info(string(thought.outcome.Kind), values...)
}

func (r *run) writeStatus(ctx context.Context, state *keyState, thought *thought) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(thought.subject)
	if err != nil {
		return fmt.Errorf("convert %s: %w", r.kind.Kind, err)
	}
	if !plan.NeedsApply(&unstructured.Unstructured{Object: content}, thought.status, r.manager, "status") {
		return nil
	}
	action := plan.Apply{Object: thought.status, Subresource: "status", Reason: thought.outcome.Reason}
	err = r.do(ctx, state, action)
	countAction(r.name, action, err)
	return err
}

func (r *run) state(key Key) *keyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	state, ok := r.keys[key]
	if !ok {
		state = &keyState{}
		r.keys[key] = state
	}
	return state
}

func (r *run) forget(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, key)
}

// noteEvent remembers when the oldest event came that no plan has answered yet.
func (r *run) noteEvent(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state, ok := r.keys[key]; ok && state.eventAt.IsZero() {
		state.eventAt = r.engine.now()
	} else if !ok {
		r.keys[key] = &keyState{eventAt: r.engine.now()}
	}
}

func (r *run) takeEvent(key Key) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	state, ok := r.keys[key]
	if !ok {
		return time.Time{}
	}
	at := state.eventAt
	state.eventAt = time.Time{}
	return at
}

func (r *run) dropEvent(key Key) { r.takeEvent(key) }

func (r *run) observeLatency(key Key) {
	if at := r.takeEvent(key); !at.IsZero() {
		eventToApplied.WithLabelValues(r.name).Observe(r.engine.now().Sub(at).Seconds())
	}
}
