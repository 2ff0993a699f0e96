// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// TestReasons: errors that a user can mend have a reason of their own in conditions,
// however deep they lie.
func TestReasons(t *testing.T) {
	for want, err := range map[string]error{
		"ContainerEngineUnavailable": &containers.EngineUnavailableError{},
		"ImageNotAvailable":          &containers.MissingImageError{Image: "x"},
		"NameTaken":                  &containers.NameTakenError{Kind: "container", Name: "x"},
		"KernelLimitReached":         &containers.KernelLimitError{Sysctl: "x"},
		"NetworkNotAvailable":        &containers.SubnetError{Cause: errors.New("none free")},
		"InvalidLoadBalancerConfig":  &containers.LoadBalancerConfigError{Output: "x"},
	} {
		wrapped := withReason(fmt.Errorf("create container: %w", err))
		var reasoned interface{ FailureReason() string }
		if !errors.As(wrapped, &reasoned) || reasoned.FailureReason() != want {
			t.Errorf("%T has no reason %s", err, want)
		}
		if !errors.Is(wrapped, err) || !strings.HasPrefix(wrapped.Error(), "create container: ") {
			t.Errorf("%T is lost in %v", err, wrapped)
		}
	}
	if withReason(nil) != nil {
		t.Error("nothing became an error")
	}
	other := errors.New("other")
	var reasoned interface{ FailureReason() string }
	if got := withReason(other); !errors.Is(got, other) || errors.As(got, &reasoned) {
		t.Errorf("an error without a reason became %v", got)
	}
}

// TestBootstrapDataThatCannotBeUsed: the error names the Secret and what is wrong, and
// never what it holds.
func TestBootstrapDataThatCannotBeUsed(t *testing.T) {
	secret := func(name string, data map[string]string) *corev1.Secret {
		made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{}}
		for key, value := range data {
			made.Data[key] = []byte(value)
		}
		return made
	}
	secrets := fake.NewClientBuilder().WithObjects(
		secret("empty", nil),
		secret("ignition", map[string]string{"value": "{hunter2}", "format": "ignition"}),
	).Build()
	operator := NewOperator(nil, secrets)
	for name, want := range map[string][]string{
		"missing":  {"missing", "not found"},
		"empty":    {"default/empty", `no key "value"`},
		"ignition": {"default/ignition", `"ignition"`, "cloud-config"},
	} {
		err := operator.Operate(t.Context(), StartBootstrap{Machine: types.NamespacedName{Namespace: "default", Name: "m"}, Secret: name})
		if err == nil {
			t.Errorf("Secret %s was taken", name)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("for Secret %s the error %q does not say %q", name, err, part)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells what Secret %s holds: %v", name, err)
		}
		var reasoned interface{ FailureReason() string }
		if hasReason := errors.As(err, &reasoned); hasReason != (name != "missing") {
			t.Errorf("for Secret %s there is a reason: %t", name, hasReason)
		}
	}
}

// TestEngineAway: no operation counts as done while the engine does not answer.
func TestEngineAway(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/nobody.sock")
	err := NewOperator(containers.NewConnector(containers.Options{ManagementID: "test"}), nil).Operate(t.Context(), StartMachine{})
	var reasoned interface{ FailureReason() string }
	if !errors.As(err, &reasoned) || reasoned.FailureReason() != "ContainerEngineUnavailable" {
		t.Errorf("without an engine it gives %v", err)
	}
}

type unheardOf struct{}

func (unheardOf) String() string    { return "unheard of" }
func (unheardOf) Subject() plan.Ref { return plan.Ref{} }

func TestUnknownOperation(t *testing.T) {
	if err := NewOperator(nil, nil).Operate(t.Context(), unheardOf{}); err == nil {
		t.Error("an operation that nobody knows counted as done")
	}
}

// An engine that hangs, and one that is not the right one, show under the same reason as
// one that is not there.
func TestReasonOfUselessEngine(t *testing.T) {
	for _, cause := range []error{&containers.NoAnswerError{Who: "x", Cause: context.DeadlineExceeded}, &containers.OtherEngineError{}} {
		err := withReason(fmt.Errorf("create container: %w", cause))
		var reasoned interface{ FailureReason() string }
		if !errors.As(err, &reasoned) || reasoned.FailureReason() != "ContainerEngineUnavailable" || !errors.Is(err, cause) {
			t.Errorf("error is %v", err)
		}
	}
}

// TestDeleteUnusedNetwork: done is only what the engine has done.
func TestDeleteUnusedNetwork(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	removed, status := 0, http.StatusInternalServerError
	network := `{"Id": "n1", "Name": "` + containers.NetworkName("m1") + `", "Labels": {"` + containers.LabelManagementCluster + `": "m1"}}`
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		w.Header().Set("Content-Type", "application/json")
		answer := `{"ApiVersion": "1.44"}`
		switch name := path.Base(request.URL.Path); {
		case request.Method == http.MethodDelete:
			removed++
			w.WriteHeader(status)
			answer = `{"message": "on fire"}`
		case name == "networks":
			answer = "[" + network + "]"
		case name == "n1":
			answer = network
		case name == "json":
			answer = "[]"
		}
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	operator := NewOperator(containers.NewConnector(containers.Options{Host: "unix://" + socket, ManagementID: "m1"}), nil)
	if err := operator.Operate(t.Context(), DeleteUnusedNetwork{}); err == nil || removed != 1 {
		t.Errorf("it was asked %d times, and the refusal is %v", removed, err)
	}
	status = http.StatusOK
	if err := operator.Operate(t.Context(), DeleteUnusedNetwork{}); err != nil || removed != 2 {
		t.Errorf("it was asked %d times, %v", removed, err)
	}
}
