// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "github.com/slipway-project/slipway/api/addons/v1beta2"
	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	infrav1 "github.com/slipway-project/slipway/api/infrastructure/v1beta2"
)

// kubeconfig is the way to the management cluster.
func (b *bench) kubeconfig() string { return filepath.Join(b.home, "kubeconfig") }

// connectTo is a client without a limit to its rate, for a management cluster or a workload cluster.
func connectTo(kubeconfig string) (client.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Timeout = -1, lookLimit
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, clusterv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme, infrav1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return client.New(config, client.Options{Scheme: known})
}

// controlPlaneOf is the control plane of our cluster by name, to be read or patched.
func controlPlaneOf() *controlplanev1.KubeadmControlPlane {
	controlPlane := &controlplanev1.KubeadmControlPlane{}
	controlPlane.Namespace, controlPlane.Name = metav1.NamespaceDefault, clusterName+"-control-plane"
	return controlPlane
}
