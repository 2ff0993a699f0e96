// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// Operator carries out operations in a container engine.
type Operator struct {
	engine  *containers.Connector
	secrets client.Reader
}

// NewOperator makes an operator. secrets reads Secrets of the management cluster by
// name, from the server.
func NewOperator(engine *containers.Connector, secrets client.Reader) *Operator {
	return &Operator{engine: engine, secrets: secrets}
}

// Operate carries out one operation. Errors that a user can mend carry a reason for
// conditions; see FailureReason.
func (o *Operator) Operate(ctx context.Context, operation plan.Operation) error {
	return withReason(o.operate(ctx, operation))
}

func (o *Operator) operate(ctx context.Context, operation plan.Operation) error {
	do, err := o.prepare(ctx, operation)
	if err != nil {
		return err
	}
	docker, err := o.engine.Client(ctx)
	if err != nil {
		return err
	}
	return do(docker)
}

// prepare checks an operation before the engine is asked for anything, and gives what
// is to be done there.
func (o *Operator) prepare(ctx context.Context, operation plan.Operation) (func(*containers.Client) error, error) {
	switch operation := operation.(type) {
	case CreateLoadBalancer:
		return func(docker *containers.Client) error {
			_, err := docker.CreateLoadBalancer(ctx, operation.Spec)
			return err
		}, nil
	case UpdateLoadBalancer:
		return func(docker *containers.Client) error {
			return docker.UpdateLoadBalancer(ctx, operation.Cluster, operation.Config)
		}, nil
	case StartLoadBalancer:
		return func(docker *containers.Client) error { return docker.RestartLoadBalancer(ctx, operation.Cluster) }, nil
	case DeleteLoadBalancer:
		return func(docker *containers.Client) error {
			return docker.DeleteLoadBalancer(ctx, operation.Cluster, operation.MadeFor)
		}, nil
	case DeleteUnusedNetwork:
		return func(docker *containers.Client) error {
			_, err := docker.DeleteNetwork(ctx)
			return err
		}, nil
	case CreateMachine:
		return func(docker *containers.Client) error {
			_, err := docker.CreateMachine(ctx, operation.Spec)
			return err
		}, nil
	case CopyImages:
		return func(docker *containers.Client) error {
			return docker.CopyImages(ctx, operation.From, operation.To, operation.Images)
		}, nil
	case StopAPIServer:
		return func(docker *containers.Client) error { return docker.StopAPIServer(ctx, operation.Machine) }, nil
	case StartMachine:
		return func(docker *containers.Client) error { return docker.RestartMachine(ctx, operation.Machine) }, nil
	case DeleteMachine:
		return func(docker *containers.Client) error {
			return docker.DeleteMachine(ctx, operation.Machine, operation.MadeFor)
		}, nil
	case LoadImages:
		return func(docker *containers.Client) error {
			return docker.LoadImages(ctx, operation.Machine, operation.Images)
		}, nil
	case StartBootstrap:
		data, err := o.bootstrapData(ctx, operation)
		return func(docker *containers.Client) error { return startBootstrap(ctx, docker, operation, data) }, err
	default:
		return nil, fmt.Errorf("carry out %T: the Docker provider knows no such operation", operation)
	}
}

// bootstrapData reads what a machine is to carry out.
func (o *Operator) bootstrapData(ctx context.Context, operation StartBootstrap) ([]byte, error) {
	secret := &corev1.Secret{}
	key := secretKey(operation)
	if err := o.secrets.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read bootstrap data: %w", err)
	}
	data, ok := secret.Data["value"]
	if !ok {
		return nil, reasoned{"InvalidBootstrapData", fmt.Errorf("Secret %s has no key \"value\"; a bootstrap provider writes its data there", key)}
	}
	if format := string(secret.Data["format"]); format != "" && format != "cloud-config" {
		return nil, reasoned{"InvalidBootstrapData", fmt.Errorf("Secret %s has the format %q; Docker machines take cloud-config", key, format)}
	}
	return data, nil
}

func secretKey(operation StartBootstrap) types.NamespacedName {
	return types.NamespacedName{Namespace: operation.Machine.Namespace, Name: operation.Secret}
}

func startBootstrap(ctx context.Context, docker *containers.Client, operation StartBootstrap, data []byte) error {
	node := docker.Node(operation.Machine)
	machine, err := docker.Machine(ctx, operation.Machine)
	if err != nil {
		return err
	}
	steps, err := cloudconfig.Parse(data, cloudconfig.Metadata{
		LocalHostname: node.Name(), InstanceID: operation.InstanceID, Address: machine.Address.String(),
	})
	if err != nil {
		return reasoned{"InvalidBootstrapData", fmt.Errorf("Secret %s: %w", secretKey(operation), err)}
	}
	return cloudconfig.Start(ctx, node, cloudconfig.WithProviderID(ForContainers(steps), operation.ProviderID), operation.Timeout)
}

// reasoned is an error with the reason that conditions show.
type reasoned struct {
	reason string
	error
}

func (r reasoned) FailureReason() string { return r.reason }
func (r reasoned) Unwrap() error         { return r.error }

// withReason gives errors that a user can mend their reason.
func withReason(err error) error {
	if reason := Reason(err); reason != "" {
		return reasoned{reason, err}
	}
	return err
}

// EndpointReason is the reason of a load balancer that is not where its endpoint is.
const EndpointReason = "EndpointNotAvailable"

// Reason is the reason under which conditions show an error of the container engine that
// a user can mend; empty for others.
func Reason(err error) string {
	var (
		unavailable *containers.EngineUnavailableError
		other       *containers.OtherEngineError
		silent      *containers.NoAnswerError
		image       *containers.MissingImageError
		taken       *containers.NameTakenError
		endpoint    *containers.EndpointTakenError
		limit       *containers.KernelLimitError
		subnet      *containers.SubnetError
		mode        *containers.NetworkModeError
		config      *containers.LoadBalancerConfigError
	)
	switch {
	case errors.As(err, &unavailable), errors.As(err, &other), errors.As(err, &silent):
		return "ContainerEngineUnavailable"
	case errors.As(err, &image):
		return "ImageNotAvailable"
	case errors.As(err, &taken):
		return "NameTaken"
	case errors.As(err, &endpoint):
		return EndpointReason
	case errors.As(err, &limit):
		return "KernelLimitReached"
	case errors.As(err, &subnet), errors.As(err, &mode):
		return "NetworkNotAvailable"
	case errors.As(err, &config):
		return "InvalidLoadBalancerConfig"
	default:
		return ""
	}
}
