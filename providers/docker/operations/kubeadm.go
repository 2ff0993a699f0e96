// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

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

// kubeletSettings are what a kubelet in a container needs, whatever its node image is: the
// host decides about swap and the cgroup version.
var kubeletSettings = []string{"failCgroupV1", "failSwapOn"}

// ignoreFlag follows kubeadm init and join.
const ignoreFlag = "--ignore-preflight-errors=" + ignoredPreflightErrors

var (
	// kubeadmCommand matches the commands that check the machine, and "phase" behind them.
	kubeadmCommand       = regexp.MustCompile(`\bkubeadm[ \t]+(?:init|join)\b(?:[ \t]+(phase)\b)?`)
	clusterConfiguration = kindLine("ClusterConfiguration")
	proxyKind            = kindLine("KubeProxyConfiguration")
	kubeletKind          = kindLine("KubeletConfiguration")
	documentStart        = regexp.MustCompile(`(?m)^---`)
)

func kindLine(kind string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^kind:[ \t]*["']?` + kind + `["']?[ \t\r]*(?:#.*)?$`)
}

// ForContainers makes a bootstrap fit a node that is a container: kubeadm is told to
// ignore the checks that make no sense there, kube-proxy to leave the host's limits
// alone unless the user configured kube-proxy, and the kubelet not to mind the host's
// swap and cgroups unless the user said so. The list given is not changed.
func ForContainers(steps []cloudconfig.Step) []cloudconfig.Step {
	fitted := slices.Clone(steps)
	for i, step := range fitted {
		switch step := step.(type) {
		case cloudconfig.Command:
			step.Shell = ignoring(step.Shell)
			if checksMachine(step.Argv) {
				step.Argv = append(slices.Clone(step.Argv), ignoreFlag)
			}
			fitted[i] = step
		case cloudconfig.WriteFile:
			if clusterConfiguration.Match(step.Content) {
				step.Content = withComponents(step.Content)
				fitted[i] = step
			}
		}
	}
	return fitted
}

// ignoring is a line for the shell in which kubeadm ignores those checks. A single phase
// of init or join is another command, which takes its flags elsewhere: it is left alone.
func ignoring(shell string) string {
	return kubeadmCommand.ReplaceAllStringFunc(shell, func(found string) string {
		if strings.HasSuffix(found, "phase") {
			return found
		}
		return found + " " + ignoreFlag
	})
}

// checksMachine reports that a program with its arguments is kubeadm init or join.
func checksMachine(argv []string) bool {
	return len(argv) > 1 && path.Base(argv[0]) == "kubeadm" && (argv[1] == "init" || argv[1] == "join") && !(len(argv) > 2 && argv[2] == "phase")
}

// withComponents adds to kubeadm's configuration what kube-proxy and the kubelet need.
func withComponents(content []byte) []byte {
	fitted := append(bytes.TrimRight(bytes.Clone(content), "\n"), '\n')
	if !proxyKind.Match(content) {
		fitted = append(fitted, proxyConfiguration...)
	}
	if !kubeletKind.Match(content) {
		fitted = append(fitted, "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"...)
	}
	return withKubeletSettings(fitted)
}

// withKubeletSettings adds to the kubelet's document what the user has not set there.
func withKubeletSettings(content []byte) []byte {
	kind := kubeletKind.FindIndex(content)
	begin, end := 0, len(content)
	for _, start := range documentStart.FindAllIndex(content, -1) {
		switch {
		case start[0] < kind[0]:
			begin = start[1]
		default:
			end = min(end, start[0])
		}
	}
	var missing []byte
	for _, setting := range kubeletSettings {
		if !regexp.MustCompile(`(?m)^` + setting + `:`).Match(content[begin:end]) {
			missing = append(missing, "\n"+setting+": false"...)
		}
	}
	return slices.Concat(content[:kind[1]], missing, content[kind[1]:])
}
