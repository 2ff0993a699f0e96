// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-project/slipway/engine"
)

// connection keeps one cluster connected, in one goroutine (run). The fields below
// the mutex are what others see of it.
type connection struct {
	cluster engine.Key
	owner   *Connections
	cancel  context.CancelFunc

	mu sync.Mutex
	// link is nil while there is no connection, and then cause says why.
	link    *link
	cause   error
	since   time.Time
	contact contact
	// failing is why the last probe of the link failed; nil if it did not.
	failing error
}

// current is the link to use. One whose last probe failed is not given out: each request
// over it might wait for as long as requests may, and the probes find out by themselves
// when the server answers again.
func (c *connection) current() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.link == nil:
		return nil, fmt.Errorf("%w: Cluster %s: %w", engine.ErrNotConnected, c.cluster, c.cause)
	case c.failing != nil:
		return nil, fmt.Errorf("%w: Cluster %s: %w", engine.ErrNotConnected, c.cluster, c.failing)
	default:
		return c.link, nil
	}
}

func (c *connection) probed() engine.Probe {
	c.mu.Lock()
	defer c.mu.Unlock()
	probe := engine.Probe{
		Connected: c.link != nil && c.failing == nil, LastSuccess: c.contact.last, Since: c.since,
		InSightSince: c.contact.since, InSightUntil: c.contact.lost,
	}
	switch {
	case c.link == nil:
		probe.Err = c.cause.Error()
	case c.failing != nil:
		probe.Err = c.failing.Error()
	}
	return probe
}

// errClusterGone ends a connection for good.
var errClusterGone = errors.New("the Cluster does not exist any more")

// run connects, looks after the connection until it is lost, and begins again. It ends
// when the Cluster is gone, whoever may own the kubeconfig and whether or not the server
// still answers: nobody would end it later.
func (c *connection) run(ctx context.Context) {
	defer c.cancel()
	if c.owner.clusterGone(ctx, c.cluster) {
		// A pass that read the Cluster before it went asked after Forget. Nobody is told:
		// whoever asks for what is not there would be made to ask again.
		c.owner.remove(c)
		return
	}
	var trouble backoff
	for ctx.Err() == nil {
		link, err := c.connect(ctx)
		if err == nil {
			trouble = backoff{}
			c.attach(link)
			err = c.lookAfter(ctx, link)
			c.detach(link, err)
			if errors.Is(err, errClusterGone) {
				c.owner.drop(c)
				return
			}
			// The first attempt to connect again is made at once.
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if c.owner.clusterGone(ctx, c.cluster) {
			c.owner.drop(c)
			return
		}
		c.tellCause(err)
		c.pause(ctx, &trouble)
	}
}

// backoff counts the attempts of one spell of trouble.
type backoff struct {
	began time.Time
	delay time.Duration
}

// pause waits until the next attempt is due.
func (c *connection) pause(ctx context.Context, b *backoff) {
	timer := time.NewTimer(b.next(time.Now(), c.owner.timing))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// next is how long to wait: shortly while the trouble is new, then twice as long
// each time, up to a limit.
func (b *backoff) next(now time.Time, t timing) time.Duration {
	if b.began.IsZero() {
		b.began, b.delay = now, t.retry
	}
	if now.Sub(b.began) > t.patience {
		b.delay = min(2*b.delay, t.slowRetry)
	}
	return b.delay
}

// connect makes a link: it reads the Secret, asks the server whether it is ready, and
// fills the cache.
func (c *connection) connect(ctx context.Context) (*link, error) {
	kubeconfig, err := c.readKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	config, err := configFor(c.cluster, kubeconfig)
	if err != nil {
		return nil, err
	}
	link, err := newLink(c.cluster, config, kubeconfig, c.owner)
	if err != nil {
		return nil, err
	}
	if err := link.probe(ctx, c.owner.timing.probeTimeout); err != nil {
		link.close()
		return nil, err
	}
	tell := func(node *corev1.Node) { c.owner.feed.publish(engine.WorkloadEvent{Cluster: c.cluster, Node: node}) }
	if err := link.open(ctx, c.owner.timing, tell); err != nil {
		link.close()
		return nil, err
	}
	return link, nil
}

func (c *connection) readKubeconfig(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.owner.timing.requestTimeout)
	defer cancel()
	return kubeconfigOf(ctx, c.owner.options.Secrets, c.cluster)
}

// lookAfter probes the link until it has to be given up, and says why.
func (c *connection) lookAfter(ctx context.Context, link *link) error {
	t := c.owner.timing
	timer := time.NewTimer(t.probeEvery)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-link.stopped:
			return errors.New("the cache of Nodes has ended")
		case <-timer.C:
		}
		if c.owner.clusterGone(ctx, c.cluster) {
			return errClusterGone
		}
		err := link.probe(ctx, t.probeTimeout)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.note(err)
		if err != nil && c.kubeconfigChanged(ctx, link) {
			return errors.New("the kubeconfig has changed; connecting with the new one")
		}
		switch {
		case err == nil && failures >= t.failuresBeforeRefresh:
			return errors.New("the server answers again; reading its Nodes anew")
		case err == nil:
			failures = 0
			timer.Reset(t.probeEvery)
		default:
			if failures++; failures >= t.probeFailures {
				return err
			}
			timer.Reset(t.probeAgain)
		}
	}
}

// kubeconfigChanged reports whether the Secret holds another kubeconfig by now. One
// that cannot be read has not changed: the connection may well outlive its Secret.
func (c *connection) kubeconfigChanged(ctx context.Context, link *link) bool {
	kubeconfig, err := c.readKubeconfig(ctx)
	return err == nil && !link.isFor(kubeconfig)
}

func (c *connection) attach(link *link) {
	c.mu.Lock()
	c.link, c.cause, c.failing = link, nil, nil
	c.contact.answered(time.Now(), true)
	c.mu.Unlock()
	c.owner.options.Log.Info("connected to workload cluster", "cluster", c.cluster.String())
	c.tell()
}

func (c *connection) detach(link *link, cause error) {
	c.mu.Lock()
	c.link, c.cause, c.failing = nil, cause, nil
	c.mu.Unlock()
	link.close()
	c.owner.options.Log.Info("connection to workload cluster ended", "cluster", c.cluster.String(), "cause", cause.Error())
	c.tell()
}

// note remembers the outcome of a probe of the link, and tells when it is news.
func (c *connection) note(err error) {
	c.mu.Lock()
	news := text(c.failing) != text(err)
	if err == nil {
		// That contact begins anew is news too where no probe had failed.
		news = c.contact.answered(time.Now(), c.failing != nil) || news
	}
	c.failing = err
	c.mu.Unlock()
	if news {
		c.tell()
	}
}

// tellCause remembers why there is no connection, and tells when it is news.
func (c *connection) tellCause(err error) {
	c.mu.Lock()
	news := text(c.cause) != text(err)
	c.cause = err
	c.mu.Unlock()
	if news {
		c.owner.options.Log.Info("workload cluster cannot be reached yet", "cluster", c.cluster.String(), "cause", err.Error())
		c.tell()
	}
}

func (c *connection) tell() { c.owner.feed.publish(engine.WorkloadEvent{Cluster: c.cluster}) }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
