// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/engine"
	"github.com/slipway-project/slipway/etcd"
)

// apiServerPort is where kubeadm has API servers listen unless it is told otherwise.
const apiServerPort = 6443

// Etcd asks the etcd members on the Nodes named, all at the same time; eight seconds is the
// most it takes, and where the list is had sooner the others are not waited for as long: one
// that hangs would make every look slow. What a member answers, or why it does not, is an answer of the view. The
// list of members is from the first voter that has a leader and gives it; where none does,
// the error says why, and the view has the answers alone. Without a connection, and while
// the last probe of it failed, the error is engine.ErrNotConnected with its cause.
func (c *Connections) Etcd(ctx context.Context, cluster engine.Key, nodes []string) (etcd.View, error) {
	link, err := c.of(cluster).current()
	if err != nil {
		return etcd.View{}, err
	}
	view, err := link.etcd.look(ctx, nodes)
	if err != nil {
		return view, fmt.Errorf("etcd of Cluster %s: %w", cluster, err)
	}
	return view, nil
}

// reply is what came of asking the member on one node.
type reply struct {
	node   string
	answer etcd.Answer
	err    error
}

// membership is the list of members, from one of them.
type membership struct {
	members []etcd.Member
	err     error
}

// look asks all nodes, and as soon as one member can give the list, asks it for that.
func (e *etcdClients) look(ctx context.Context, nodes []string) (etcd.View, error) {
	e.closeIdle(time.Now())
	ctx, cancel := context.WithTimeout(ctx, e.timing.etcdLook)
	defer cancel()
	nodes = slices.Compact(slices.Sorted(slices.Values(nodes)))
	replies, lists := make(chan reply, len(nodes)), make(chan membership, 1)
	for _, node := range nodes {
		go func() { replies <- e.ask(ctx, node) }()
	}
	view := etcd.View{Answers: map[string]etcd.Answer{}}
	var able []string // those that may give the list and were not asked for it yet
	var unable error
	listing := false
	began := time.Now()
	var enough <-chan time.Time // set when the list is there
	for waiting := len(nodes); waiting > 0 || listing; {
		select {
		case <-enough:
			return e.late(view, nodes), nil
		case r := <-replies:
			waiting--
			view.Answers[r.node] = r.answer
			if errors.As(r.err, &authorityError{}) {
				// It is the same for all.
				return etcd.View{}, r.err
			}
			if r.answer.Err == "" && r.answer.Leader != 0 && !r.answer.Learner {
				able = append(able, r.node)
			}
		case l := <-lists:
			listing = false
			if view.Members = l.members; l.err != nil {
				unable = l.err
			} else {
				enough = time.After(max(time.Since(began), e.timing.etcdLate))
			}
		}
		if view.Members == nil && !listing && len(able) > 0 {
			listing = true
			go func(node string) { lists <- e.list(ctx, node) }(able[0])
			able = able[1:]
		}
	}
	if view.Members == nil {
		return view, noList(view, unable)
	}
	return view, nil
}

// late is a view with what to say of those that have not answered yet. A connection that is
// being made goes on being made, and is there for the next look.
func (e *etcdClients) late(view etcd.View, nodes []string) etcd.View {
	for _, node := range nodes {
		if _, answered := view.Answers[node]; !answered {
			view.Answers[node] = etcd.Answer{Err: e.trouble(node)}
		}
	}
	return view
}

// noList says why nobody gave the list of members.
func noList(view etcd.View, unable error) error {
	if unable != nil {
		return fmt.Errorf("the list of members cannot be read: %w", unable)
	}
	if len(view.Answers) == 0 {
		return errors.New("no Node with a member is known")
	}
	var causes []string
	for _, node := range slices.Sorted(maps.Keys(view.Answers)) {
		switch answer := view.Answers[node]; {
		case answer.Err != "":
			causes = append(causes, node+": "+answer.Err)
		case answer.Learner:
			causes = append(causes, node+": the member is a learner")
		default:
			causes = append(causes, node+": the member has no leader")
		}
	}
	return fmt.Errorf("no member gives the list of members (%s)", strings.Join(causes, "; "))
}

// ask has the member on a node tell of itself.
func (e *etcdClients) ask(ctx context.Context, node string) reply {
	answer := etcd.Answer{}
	// A member tells its status without asking others, so it is soon there.
	err := e.do(ctx, node, e.timing.etcdCall/2, func(ctx context.Context, member *etcdClient) error {
		told, err := member.Status(ctx, "")
		if err != nil {
			return err
		}
		answer = etcd.Answer{
			ID: told.Header.MemberId, Leader: told.Leader, Learner: told.IsLearner, Version: told.Version,
			Index: told.RaftIndex, Applied: told.RaftAppliedIndex, Problems: problems(told.Errors),
		}
		return nil
	})
	if err != nil {
		return reply{node, etcd.Answer{Err: err.Error()}, err}
	}
	return reply{node: node, answer: answer}
}

// problems are what a member reports but for the alarms: each member reports those of all,
// and would be unhealthy for another's. The list of alarms tells whose they are.
func problems(reported []string) []string {
	var own []string
	for _, problem := range reported {
		if !strings.HasPrefix(problem, "memberID:") && !strings.HasPrefix(problem, "alarm:") {
			own = append(own, problem)
		}
	}
	return own
}

// list has the member on a node give the list of members, which it asks the leader for, and
// the alarms that are raised for them.
func (e *etcdClients) list(ctx context.Context, node string) membership {
	listed := membership{}
	listed.err = e.do(ctx, node, e.timing.etcdCall, func(ctx context.Context, member *etcdClient) error {
		var alarms *clientv3.AlarmResponse
		var alarmsErr error
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			alarms, alarmsErr = member.AlarmList(ctx)
		}()
		answered, err := member.MemberList(ctx)
		<-asked
		if err := errors.Join(err, alarmsErr); err != nil {
			return err
		}
		raised := map[uint64][]string{}
		for _, alarm := range alarms.Alarms {
			if alarm.Alarm != etcdserverpb.AlarmType_NONE {
				raised[alarm.MemberID] = append(raised[alarm.MemberID], alarm.Alarm.String())
			}
		}
		listed.members = []etcd.Member{}
		for _, m := range answered.Members {
			slices.Sort(raised[m.ID])
			listed.members = append(listed.members, etcd.Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, Learner: m.IsLearner, Alarms: raised[m.ID]})
		}
		return nil
	})
	if listed.err != nil {
		listed = membership{err: fmt.Errorf("%s: %w", node, listed.err)}
	}
	return listed
}

// broken reports that a call failed for what is between us and the member, or for time that
// ran out, rather than that the member answered with an error.
func broken(err error) bool {
	var answered rpctypes.EtcdError
	return !errors.As(err, &answered)
}

// callTrouble says for a person why a call that was sent to a member failed.
func (e *etcdClients) callTrouble(err error, node string) error {
	pod := metav1.NamespaceSystem + "/" + etcdPod(node)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the member in Pod %s does not answer in time", pod)
	case strings.Contains(err.Error(), "remote error: tls"):
		return fmt.Errorf("the member in Pod %s does not accept certificates of the authority in Secret %s/%s",
			pod, e.cluster.Namespace, credentials.SecretName(e.cluster.Name, credentials.EtcdCA))
	}
	return fmt.Errorf("the connection to the member in Pod %s broke", pod)
}

// CertificateExpiry is when the certificate ends that the API server on a Node shows. It is
// looked at through the cluster's endpoint, in the Pod of that server, and not verified:
// one that has ended is shown like any other. Errors without a connection as for Reader.
func (c *Connections) CertificateExpiry(ctx context.Context, cluster engine.Key, node string) (time.Time, error) {
	link, err := c.of(cluster).current()
	if err != nil {
		return time.Time{}, err
	}
	pod, port := "kube-apiserver-"+node, apiServerPort
	expiry, err := func() (time.Time, error) {
		ctx, cancel := context.WithTimeout(ctx, c.timing.etcdLook)
		defer cancel()
		running := &corev1.Pod{}
		if err := link.client.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: pod}, running); err != nil {
			return time.Time{}, err
		}
		port = securePort(running)
		conn, err := link.dialPod(ctx, pod, port)
		if err != nil {
			return time.Time{}, err
		}
		// No server is trusted for what is read here; only the date is taken.
		secured, err := handshake(ctx, conn, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return time.Time{}, err
		}
		defer func() { _ = secured.Close() }()
		return secured.ConnectionState().PeerCertificates[0].NotAfter, nil
	}()
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate of the API server on Node %s of Cluster %s: %s", node, cluster, portTrouble(err, node, pod, port))
	}
	return expiry, nil
}

// securePort is the port that the API server in a Pod listens at.
func securePort(pod *corev1.Pod) int {
	for _, container := range pod.Spec.Containers {
		for _, argument := range slices.Concat(container.Command, container.Args) {
			if value, ok := strings.CutPrefix(argument, "--secure-port="); ok {
				if port, err := strconv.Atoi(value); err == nil && port > 0 {
					return port
				}
			}
		}
	}
	return apiServerPort
}
