// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
)

// familyWatch keeps a family current by watching its kinds.
type familyWatch struct {
	cache   cache.Cache
	kinds   []schema.GroupVersionKind
	key     client.ObjectKey
	changed chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
}

// watchFamily watches the kinds of a family in its namespace, and returns when all
// have been read once. close must be called. what is waited for then: the "making" of
// the Cluster, its "upgrade" or its "deletion"; empty where it is only looked at.
func (m *management) watchFamily(ctx context.Context, what string, key client.ObjectKey, kinds []schema.GroupKind) (*familyWatch, error) {
	served, err := m.served(append(kinds, eventKind.GroupKind()))
	if err != nil {
		return nil, err
	}
	watched, err := cache.New(m.config, cache.Options{
		Scheme: m.client.Scheme(), Mapper: m.client.RESTMapper(),
		DefaultNamespaces: map[string]cache.Config{key.Namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return nil, fmt.Errorf("watch Cluster %s: %w", key, err)
	}
	running, stop := context.WithCancel(ctx)
	starting, started := context.WithTimeout(running, lostAfter)
	defer started()
	w := &familyWatch{cache: watched, kinds: served, key: key, changed: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		_ = watched.Start(running)
	}()
	for _, kind := range served {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		informer, err := watched.GetInformer(starting, object)
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc:    func(any) { w.tell() },
				UpdateFunc: func(any, any) { w.tell() },
				DeleteFunc: func(any) { w.tell() },
			})
		}
		if err != nil && starting.Err() == nil {
			w.close()
			return nil, fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
	}
	if !watched.WaitForCacheSync(starting) {
		w.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, lostError(m.source, m.config.Host, fmt.Sprintf("not all could be read within %s", lostAfter), what, key)
	}
	w.tell()
	return w, nil
}

// tell notes that something changed; many changes are one.
func (w *familyWatch) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *familyWatch) read(ctx context.Context) (family, error) {
	objects, err := listAll(ctx, w.cache, w.kinds, w.key.Namespace)
	if err != nil {
		return family{}, err
	}
	return familyOf(objects, w.key.Name)
}

func (w *familyWatch) close() {
	w.stop()
	<-w.ended
}

const (
	// askEvery is how often a management cluster is asked whether it is still there.
	askEvery = 3 * time.Second
	// lostAfter is how long it may be silent: longer than it takes to start it again.
	lostAfter = 30 * time.Second
)

// pulse tells whether the management cluster is still there while something is waited
// for. A watch shows what changes; of a server that is gone it shows nothing.
type pulse struct {
	reader client.Reader
	key    client.ObjectKey
	now    func() time.Time
	limit  time.Duration
	// what names what is waited for, host and source the management cluster.
	what, host, source string

	due      *time.Ticker
	failures int
	since    time.Time
	why      string
}

// pulse watches over a wait for what happens to a Cluster, as watchFamily has it.
func (m *management) pulse(what string, key client.ObjectKey, now func() time.Time) *pulse {
	return &pulse{
		reader: m.client, key: key, now: now, limit: lostAfter, what: what,
		host: m.config.Host, source: m.source, due: time.NewTicker(askEvery),
	}
}

// ask asks once, at the server itself. It tells a person of a second failure in a row,
// which is no hiccup, and of the answer after that; the error is the end of patience.
func (a *pulse) ask(ctx context.Context, p *progress) error {
	asking, done := context.WithTimeout(ctx, askEvery)
	defer done()
	asked := a.now()
	err := a.reader.Get(asking, a.key, &clusterv1.Cluster{})
	switch {
	case ctx.Err() != nil:
		return nil // the wait itself is over
	case answered(err):
		if a.failures > 1 {
			p.say("   the management cluster answers again")
		}
		a.failures = 0
		return nil
	case a.failures == 0:
		a.since = asked
	}
	a.failures++
	a.why = oneLine(innermost(err))
	if a.failures == 2 {
		p.say("   the management cluster at %s does not answer (%s)", a.host, a.why)
	}
	if a.now().Sub(a.since) < a.limit {
		return nil
	}
	return a.lost()
}

// lost says that the management cluster does not answer; nil where it does as far as
// is known.
func (a *pulse) lost() error {
	if a.failures < 2 {
		return nil
	}
	return lostError(a.source, a.host, a.why, a.what, a.key)
}

func lostError(source, host, why, what string, key client.ObjectKey) error {
	next := "start it again with: slipway up --detach"
	if source != "slipway up" {
		next = "start it again, with slipway up where it is one of those"
	}
	if what == "" {
		return fmt.Errorf("the management cluster at %s does not answer any more (%s); %s", host, why, next)
	}
	return fmt.Errorf("the management cluster at %s does not answer any more (%s); %s\nThe %s of Cluster %s goes on then, see: slipway describe cluster %s%s",
		host, why, next, what, key, key.Name, inNamespace(key.Namespace))
}

// answered tells whether an error is a word of a server that works: a refusal is one,
// and an answer that it cannot serve now, as while it starts or its database is gone, is none.
func answered(err error) bool {
	var status apierrors.APIStatus
	return err == nil || (errors.As(err, &status) && status.Status().Code < 500)
}
