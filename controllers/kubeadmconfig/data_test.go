// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/bootstrap"
	"github.com/slipway-project/slipway/credentials"
	"github.com/slipway-project/slipway/plan"
)

// joining is a worker that joins an initialized cluster whose CA is there.
func joining() Snapshot {
	yes := true
	s := Snapshot{
		Now:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Config: &bootstrapv1.KubeadmConfig{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "worker", UID: "config-uid"}},
		Owner:  &Owner{Kind: "Machine", Name: "worker"},
		Machine: &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "worker", UID: "machine-uid"},
			Spec:       clusterv1.MachineSpec{ClusterName: "demo", Version: "v1.37.1"},
		},
		Cluster: &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "cluster-uid"}},
		Certificates: map[credentials.Purpose]Certificate{
			credentials.ClusterCA: {Pair: credentials.Pair{Cert: []byte("ca")}, Hashes: []string{"sha256:" + strings.Repeat("ab", 32)}},
		},
	}
	s.Cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "192.0.2.1", Port: 6443}
	s.Cluster.Status.Initialization = clusterv1.ClusterInitializationStatus{InfrastructureProvisioned: &yes, ControlPlaneInitialized: &yes}
	return s
}

// secretData is what a Secret in a plan would hold under a key.
func secretData(t *testing.T, action plan.Action, key string) string {
	t.Helper()
	var object *unstructured.Unstructured
	switch action := action.(type) {
	case plan.Create:
		object = action.Object
	case plan.Apply:
		object = action.Object
	default:
		t.Fatalf("%s holds no data", action)
	}
	text, _, err := unstructured.NestedString(object.Object, "data", key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// last is the last action of a plan.
func last(t *testing.T, decided plan.Plan[bootstrapv1.KubeadmConfigStatus]) plan.Action {
	t.Helper()
	if len(decided.Actions) == 0 {
		t.Fatalf("the plan has no action: %s", decided.Outcome)
	}
	return decided.Actions[len(decided.Actions)-1]
}

// store is the Secret that a plan makes, as a server would give it back.
func store(t *testing.T, action plan.Action) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: action.Target().Namespace, Name: action.Target().Name, UID: "made"}, Data: map[string][]byte{}}
	for _, key := range []string{"token-id", "token-secret", "expiration", "description", dataKey} {
		if text := secretData(t, action, key); text != "" {
			secret.Data[key] = []byte(text)
		}
	}
	yes := true
	secret.OwnerReferences = []metav1.OwnerReference{{Kind: kind.Kind, UID: "config-uid", Controller: &yes}}
	return secret
}

// A worker goes all the way: token, data, an ended token made again, removal.
func TestTokenOfAJoin(t *testing.T) {
	s := joining()
	s.Token = plan.KnownValue[*corev1.Secret](nil, s.Now)
	s.FreshTokenSecret = "0123456789abcdef"
	made := last(t, Plan(s))
	if made.Target().Cluster.Name != "demo" {
		t.Fatalf("the token is made in %s", made.Target())
	}
	s.Config.Annotations = map[string]string{tokenAnnotation: tokenID(s.Config)}
	token := store(t, made)
	if got, want := string(token.Data["expiration"]), "2026-01-02T03:19:05Z"; got != want {
		t.Errorf("the token is good until %s, not %s", got, want)
	}

	// Another attempt drew another secret; what the workload cluster holds counts.
	s.Token, s.FreshTokenSecret = plan.KnownValue(token, s.Now), "fedcba9876543210"
	data := store(t, last(t, Plan(s)))
	value := tokenID(s.Config) + ".0123456789abcdef"
	for _, part := range []string{"kubeadm join", value, "sha256:" + strings.Repeat("ab", 32), "192.0.2.1:6443", "node.cluster.x-k8s.io/uninitialized"} {
		if !strings.Contains(string(data.Data[dataKey]), part) {
			t.Errorf("the user data lacks %q:\n%s", part, data.Data[dataKey])
		}
	}

	// The token ended and was cleaned away: it comes back with the same secret.
	s.Data, s.Token = data, plan.KnownValue[*corev1.Secret](nil, s.Now)
	if got := secretData(t, last(t, Plan(s)), "token-secret"); got != "0123456789abcdef" {
		t.Errorf("the token was made again with secret %s, which the host does not know", got)
	}

	// Somebody replaced the token by one of another secret: the data is made anew.
	other := token.DeepCopy()
	other.Data["token-secret"] = []byte("aaaaaaaaaaaaaaaa")
	s.Token = plan.KnownValue(other, s.Now)
	if got := secretData(t, last(t, Plan(s)), dataKey); !strings.Contains(got, tokenID(s.Config)+".aaaaaaaaaaaaaaaa") {
		t.Errorf("the user data was not made with the new token:\n%s", got)
	}

	s.Token = plan.KnownValue(token, s.Now)
	s.Machine.Status.NodeRef.Name = "worker"
	if removed := last(t, Plan(s)); removed.Verb() != "delete" || removed.Target().UID != "made" {
		t.Errorf("the node is there and the plan is to %s", removed)
	}
}

func TestHoldsText(t *testing.T) {
	encoded := "content: \"" + base64.StdEncoding.EncodeToString([]byte("token: abc.def")) + "\"\n"
	for name, test := range map[string]struct {
		data string
		want bool
	}{
		"plain":   {"token: abc.def\n", true},
		"encoded": {encoded, true},
		"absent":  {"token: abc.xyz\n", false},
		"empty":   {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := holdsText([]byte(test.data), "abc.def"); got != test.want {
				t.Errorf("holdsText = %v", got)
			}
		})
	}
}

func TestMayInitialize(t *testing.T) {
	cluster := bootstrapv1.ClusterConfiguration{CertificatesDir: "/pki"}
	initial := bootstrapv1.InitConfiguration{SkipPhases: []string{"addon"}}
	join := bootstrapv1.JoinConfiguration{SkipPhases: []string{"x"}}
	joinAsControlPlane := bootstrapv1.JoinConfiguration{ControlPlane: &bootstrapv1.JoinControlPlane{}}
	for name, test := range map[string]struct {
		spec bootstrapv1.KubeadmConfigSpec
		want bool
	}{
		"nothing said":                    {bootstrapv1.KubeadmConfigSpec{}, true},
		"init":                            {bootstrapv1.KubeadmConfigSpec{InitConfiguration: initial}, true},
		"cluster":                         {bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: cluster}, true},
		"join only":                       {bootstrapv1.KubeadmConfigSpec{JoinConfiguration: join}, false},
		"all three":                       {bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: cluster, InitConfiguration: initial, JoinConfiguration: joinAsControlPlane}, true},
		"joins with cluster settings":     {bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: cluster, JoinConfiguration: joinAsControlPlane}, false},
		"worker's join, cluster settings": {bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: cluster, JoinConfiguration: join}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mayInitialize(test.spec); got != test.want {
				t.Errorf("mayInitialize = %v", got)
			}
		})
	}
}

func TestLowest(t *testing.T) {
	if got := lowest([]string{"v1.37.1", "v1.9.0", "v1.36.3", "nonsense"}); got != "v1.9.0" {
		t.Errorf("lowest = %s", got)
	}
	if got := lowest(nil); got != "" {
		t.Errorf("lowest of none = %s", got)
	}
}

// kubeadm init makes a token that lives for a day unless it is given one.
func TestInitTokenIsShortLived(t *testing.T) {
	s := joining()
	s.FreshTokenSecret = "0123456789abcdef"
	token := initToken(s)
	pair := Certificate{Pair: credentials.Pair{Cert: []byte("cert"), Key: []byte("key")}}
	s.Certificates = map[credentials.Purpose]Certificate{}
	for _, purpose := range credentials.Purposes() {
		s.Certificates[purpose] = pair
	}
	decided := create(s, bootstrap.Init, token)
	if len(decided.Actions) != 1 {
		t.Fatalf("the decision is %s with %d actions", decided.Outcome, len(decided.Actions))
	}
	data := secretData(t, decided.Actions[0], dataKey)
	for _, want := range []string{token.Value(), `ttl: "1m0s"`} {
		if !strings.Contains(data, want) {
			t.Errorf("the user data lacks %q:\n%s", want, data)
		}
	}
	s.Config.Spec.InitConfiguration.BootstrapTokens = []bootstrapv1.BootstrapToken{{}}
	if got := initToken(s); got != (credentials.Token{}) {
		t.Errorf("with tokens of the user's own there is another one, %s", got.ID)
	}
}
