// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
)

func TestEtcdOfOneMember(t *testing.T) {
	m := startMembers(t, "node-a")
	c := m.connect()
	view := m.seen(c, "the member is healthy", healthy(1), "node-a")
	answer := view.Answers["node-a"]
	if len(view.Members) != 1 || view.Members[0].Name != "node-a" || answer.ID != view.Members[0].ID || answer.Leader != answer.ID || !strings.HasPrefix(answer.Version, "3.") || answer.Index == 0 || answer.Applied == 0 {
		t.Errorf("seen: %+v", view)
	}
	// What was opened is used again, by many at once too, and what is not there is told.
	before := m.dialed("node-a")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			view, err := c.Etcd(t.Context(), demo, []string{"node-a", "gone", "node-a"})
			if err != nil || len(view.Healthy()) != 1 || view.Answers["gone"].Err != "Pod kube-system/etcd-gone does not exist" {
				t.Errorf("seen: %+v, %v", view, err)
			}
		})
	}
	all.Wait()
	if again := m.dialed("node-a"); again != before {
		t.Errorf("dialed %d times more though the connection holds", again-before)
	}
	// A cut is mended within the look that meets it.
	clients := c.of(demo).link.etcd
	clients.mu.Lock()
	member := clients.byNode["node-a"].client
	clients.mu.Unlock()
	if err := member.ActiveConnection().Close(); err != nil {
		t.Fatal(err)
	}
	if view, err := c.Etcd(t.Context(), demo, []string{"node-a"}); err != nil || len(view.Healthy()) != 1 || m.dialed("node-a") != before+1 {
		t.Errorf("after a cut: %+v, %v, dialed %d times more", view, err, m.dialed("node-a")-before)
	}
	// All ends with the link.
	c.Forget(demo)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !waitFor(ctx, func() bool { return clients.live.Err() != nil }) {
		t.Error("the connections to members outlive the link")
	}
	if err := clients.do(t.Context(), "node-a", time.Second, func(context.Context, *etcdClient) error { return nil }); err == nil {
		t.Error("a link that is closed opens connections to members")
	}
}

func TestEtcdOfThreeMembers(t *testing.T) {
	m := startMembers(t, "a", "b", "c")
	c := m.connect()
	nodes := []string{"a", "b", "c"}
	m.seen(c, "all are healthy", healthy(3), nodes...)
	m.kill("b")
	view := m.seen(c, "one is down", healthy(2), nodes...)
	if answer := view.Answers["b"]; len(view.Members) != 3 || answer.Err != "nothing listens at port 2379 of Pod kube-system/etcd-b" {
		t.Errorf("seen: %+v", view)
	}
	m.kill("c")
	m.seen(c, "no leader, so no list", func(view etcd.View, err error) bool {
		return err != nil && view.Members == nil && strings.Contains(err.Error(), "no member gives the list of members (a: the member has no leader; b: nothing listens at port 2379")
	}, nodes...)
	m.start("b")
	m.start("c")
	m.seen(c, "all are healthy again", healthy(3), nodes...)
}

func TestEtcdLearnersAndAlarms(t *testing.T) {
	m := startMembers(t, "a", "b", "c")
	c := m.connect()
	nodes := []string{"a", "b", "c"}
	view := m.seen(c, "all are healthy", healthy(3), nodes...)
	b, _ := view.On("b")
	change := func(ctx context.Context, member *etcdClient) error {
		raise := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: b.ID, Alarm: etcdserverpb.AlarmType_CORRUPT}
		if _, err := etcdserverpb.NewMaintenanceClient(member.ActiveConnection()).Alarm(ctx, raise); err != nil {
			return err
		}
		_, err := member.MemberAddAsLearner(ctx, []string{"http://127.0.0.1:1"})
		return err
	}
	// etcd takes changes of members once the members have been connected for five seconds.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	if !waitFor(ctx, func() bool { err = c.of(demo).link.etcd.do(ctx, "a", time.Second, change); return err == nil }) {
		t.Fatal(err)
	}
	view = m.seen(c, "the learner is listed", func(view etcd.View, err error) bool { return err == nil && len(view.Learners()) == 1 }, nodes...)
	b, _ = view.On("b")
	if len(view.Voters()) != 3 || view.Learners()[0].Started() || len(b.Alarms) != 1 || b.Alarms[0] != "CORRUPT" {
		t.Errorf("seen: %+v", view)
	}
	// The alarm of one is not the trouble of the others.
	if len(view.Healthy()) != 2 {
		a, _ := view.On("a")
		t.Errorf("%d are healthy; a: %q, b: %q", len(view.Healthy()), view.Problem(a), view.Problem(b))
	}
}

func TestEtcdOperator(t *testing.T) {
	m := startMembers(t, "a", "b", "c")
	c := m.connect()
	nodes := []string{"a", "b", "c"}
	view := m.seen(c, "all are healthy", healthy(3), nodes...)
	operator := NewEtcdOperator(c)
	leader, _ := view.Leader()
	var other etcd.Member
	for _, member := range view.Members {
		if member.ID != leader.ID {
			other = member
		}
	}
	move := etcd.MoveLeader{Cluster: demo, Nodes: nodes, From: leader, To: other}
	for range 2 { // the second finds that From does not lead
		if err := operator.Operate(t.Context(), move); err != nil {
			t.Fatal(err)
		}
		view = m.seen(c, "somebody leads", healthy(3), nodes...)
		if now, _ := view.Leader(); now.ID != other.ID {
			t.Fatalf("%s leads, not %s", now, other)
		}
	}
	m.kill(leader.Name)
	m.seen(c, "one is down", healthy(2), nodes...)
	wantReason(t, operator.Operate(t.Context(), etcd.MoveLeader{Cluster: demo, Nodes: nodes, From: other, To: leader}), "EtcdMemberUnhealthy", "nothing listens at port 2379")
	wantReason(t, operator.Operate(t.Context(), etcd.RemoveMember{Cluster: demo, Nodes: nodes, Member: other}), "QuorumWouldBeLost", "1 of 2 voters healthy, 2 needed")
	if view := m.seen(c, "still all", healthy(2), nodes...); len(view.Members) != 3 {
		t.Fatalf("members: %v", view.Members)
	}
	remove := etcd.RemoveMember{Cluster: demo, Nodes: nodes, Member: leader}
	for range 2 { // the second finds it gone
		if err := operator.Operate(t.Context(), remove); err != nil {
			t.Fatal(err)
		}
		if view := m.seen(c, "one is removed", healthy(2), nodes...); len(view.Members) != 2 {
			t.Fatalf("members: %v", view.Members)
		}
	}
	// Where the list cannot be read nothing is removed, and nothing taken for removed.
	wantReason(t, operator.Operate(t.Context(), etcd.RemoveMember{Cluster: demo, Nodes: []string{leader.Name}, Member: other}), "EtcdUnreachable", "no member gives the list")
	if err := operator.Operate(t.Context(), etcd.RemoveMember{Cluster: engine.Key{Namespace: "default", Name: "other"}, Nodes: nodes, Member: other}); !errors.Is(err, engine.ErrNotConnected) {
		t.Errorf("without a connection: %v", err)
	}
}

func wantReason(t *testing.T, err error, reason, words string) {
	t.Helper()
	var with interface{ FailureReason() string }
	if !errors.As(err, &with) || with.FailureReason() != reason || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v; want reason %s and the words %q", err, reason, words)
	}
}

func TestEtcdAuthority(t *testing.T) {
	m := startMembers(t, "a")
	store := &secrets{}
	c := connectedTo(t, store, quick, m.dial)
	foreign := etcdAuthority(t)
	for _, step := range []struct {
		name  string
		pair  *credentials.Pair
		words string
	}{
		{"missing", nil, "Secret default/demo-etcd does not exist"},
		{"no key", &credentials.Pair{Cert: m.authority.Cert}, "Secret default/demo-etcd has no tls.key"},
		{"another key", &credentials.Pair{Cert: m.authority.Cert, Key: foreign.Key}, "does not belong to tls.crt"},
		{"nonsense", &credentials.Pair{Cert: []byte("x"), Key: []byte("y")}, "Secret default/demo-etcd, key tls.crt"},
		{"foreign", &foreign, "shows a certificate that does not hold: x509: certificate signed by unknown authority"},
		{"trusted, but not by the member", &credentials.Pair{Cert: append(append([]byte{}, foreign.Cert...), m.authority.Cert...), Key: foreign.Key}, "does not accept certificates of the authority in Secret default/demo-etcd"},
		{"right at last", &m.authority, ""},
	} {
		if step.pair != nil {
			store.setPair("demo-etcd", *step.pair)
		}
		m.seen(c, step.name+": "+step.words, func(view etcd.View, err error) bool {
			if step.words == "" {
				return err == nil && len(view.Healthy()) == 1
			}
			return err != nil && strings.Contains(err.Error(), step.words)
		}, "a")
	}
}

// A certificate of a member of another Node does not pass for this one's.
func TestEtcdMemberIsTheNodes(t *testing.T) {
	m := startMembers(t, "a")
	store := &secrets{}
	store.setPair("demo-etcd", m.authority)
	c := connectedTo(t, store, quick, func(ctx context.Context, _ string, port int) (net.Conn, error) { return m.dial(ctx, "etcd-a", port) })
	m.seen(c, "the certificate is refused", func(view etcd.View, _ error) bool {
		return strings.Contains(view.Answers["b"].Err, "x509: certificate is valid for a, localhost, not b")
	}, "b")
}

func TestEtcdThatHangs(t *testing.T) {
	store := &secrets{}
	store.setPair("demo-etcd", etcdAuthority(t))
	hasty := quick
	hasty.etcdDial, hasty.etcdCall, hasty.etcdLook = 100*time.Millisecond, 100*time.Millisecond, time.Second
	c := connectedTo(t, store, hasty, silent(t))
	begun := time.Now()
	view, err := c.Etcd(t.Context(), demo, []string{"a", "b"})
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	const words = "port 2379 of Pod kube-system/etcd-a does not answer in time"
	if err == nil || !strings.Contains(err.Error(), words) || view.Answers["a"].Err != words {
		t.Errorf("seen: %+v, %v", view, err)
	}
	if _, err := c.Etcd(t.Context(), demo, nil); err == nil || !strings.Contains(err.Error(), "no Node with a member is known") {
		t.Errorf("without nodes: %v", err)
	}
}

// One member that hangs is told of, and makes the look take little longer.
func TestEtcdOfWhichOneHangs(t *testing.T) {
	m := startMembers(t, "a")
	store := &secrets{}
	store.setPair("demo-etcd", m.authority)
	times := quick
	times.etcdDial, times.etcdLook, times.etcdLate = 3*time.Second, time.Minute, 100*time.Millisecond
	hangs := silent(t)
	c := connectedTo(t, store, times, func(ctx context.Context, pod string, port int) (net.Conn, error) {
		if pod == "etcd-b" {
			return hangs(ctx, pod, port)
		}
		return m.dial(ctx, pod, port)
	})
	begun := time.Now()
	view := m.seen(c, "a is healthy", healthy(1), "a", "b")
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	if answer := view.Answers["b"]; len(view.Answers) != 2 || answer.Err != "the member in Pod kube-system/etcd-b does not answer in time" {
		t.Errorf("seen: %+v", view.Answers)
	}
	// Once it is known what is wrong, that is said again and again.
	const wrong = "port 2379 of Pod kube-system/etcd-b does not answer in time"
	m.seen(c, wrong, func(view etcd.View, _ error) bool { return view.Answers["b"].Err == wrong }, "a", "b")
	for range 5 {
		if view, err := c.Etcd(t.Context(), demo, []string{"a", "b"}); err != nil || view.Answers["b"].Err != wrong {
			t.Errorf("seen: %+v, %v", view.Answers, err)
		}
	}
}

func TestEtcdIdleConnectionsAreClosed(t *testing.T) {
	m := startMembers(t, "a", "b")
	c := m.connect()
	m.seen(c, "all are healthy", healthy(2), "a", "b")
	clients := c.of(demo).link.etcd
	clients.mu.Lock()
	clients.byNode["b"].used = time.Now().Add(-etcdIdle - time.Second)
	clients.mu.Unlock()
	m.seen(c, "a answers", func(_ etcd.View, err error) bool { return err == nil }, "a")
	clients.mu.Lock()
	defer clients.mu.Unlock()
	if clients.byNode["a"] == nil || clients.byNode["b"] != nil {
		t.Errorf("kept: %v", clients.byNode)
	}
}
