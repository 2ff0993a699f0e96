// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/slipway-project/slipway/providers/docker/cloudconfig"
)

// ignoredPreflightErrors are kubeadm's checks of the machine that say nothing about a
// container: swap and the kernel belong to the host, and whether bridged traffic
// passes through iptables cannot be seen from inside.
const ignoredPreflightErrors = "Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"

// proxyConfiguration keeps kube-proxy from setting the host's connection-tracking
// limit, which a container may not do and which kube-proxy dies of.
const proxyConfiguration = `---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack:
  maxPerCore: 0
`

var (
	kubeadmCommand       = regexp.MustCompile(`\bkubeadm (init|join)\b`)
	clusterConfiguration = regexp.MustCompile(`(?m)^kind: ClusterConfiguration\s*$`)
	proxyKind            = regexp.MustCompile(`(?m)^kind: KubeProxyConfiguration\s*$`)
)

// ForContainers makes a bootstrap fit a node that is a container: kubeadm is told to
// ignore the checks that make no sense there, and kube-proxy to leave the host's
// limits alone unless the user configured kube-proxy. The list given is not changed.
func ForContainers(steps []cloudconfig.Step) []cloudconfig.Step {
	fitted := slices.Clone(steps)
	for i, step := range fitted {
		switch step := step.(type) {
		case cloudconfig.Command:
			step.Shell = kubeadmCommand.ReplaceAllString(step.Shell, "${0} --ignore-preflight-errors="+ignoredPreflightErrors)
			if len(step.Argv) > 1 && kubeadmCommand.MatchString(step.Argv[0]+" "+step.Argv[1]) {
				step.Argv = append(slices.Clone(step.Argv), "--ignore-preflight-errors="+ignoredPreflightErrors)
			}
			fitted[i] = step
		case cloudconfig.WriteFile:
			if clusterConfiguration.Match(step.Content) && !proxyKind.Match(step.Content) {
				step.Content = append(append(bytes.TrimRight(bytes.Clone(step.Content), "\n"), '\n'), proxyConfiguration...)
				fitted[i] = step
			}
		}
	}
	return fitted
}
