// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"
	"testing"
)

func goodRequest() clusterRequest {
	return clusterRequest{
		namespace: "default", name: "demo", version: defaultKubernetesVersion, controlPlanes: 1, workers: 2,
		podCIDR: defaultPodCIDR, serviceCIDR: defaultServiceCIDR,
	}
}

func TestManifests(t *testing.T) {
	small := goodRequest()
	large := clusterRequest{
		namespace: "team", name: "big", version: "1.36.3", image: "kindest/node:v1.36.3", controlPlanes: 3, workers: 0,
		podCIDR: "10.128.0.0/14", serviceCIDR: "10.200.0.0/20",
	}
	for name, request := range map[string]clusterRequest{"small": small, "large": large} {
		t.Run(name, func(t *testing.T) {
			wanted, err := request.check()
			if err != nil {
				t.Fatal(err)
			}
			wanted.WithResourceSet = name == "small"
			var out strings.Builder
			if err := printObjects(&out, formatYAML, manifests(wanted)); err != nil {
				t.Fatal(err)
			}
			golden(t, "manifests/"+name+".yaml", out.String())
		})
	}
}

func TestRequestIsChecked(t *testing.T) {
	if _, err := goodRequest().check(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, change := range []func(*clusterRequest){
		func(r *clusterRequest) { r.name = "Demo_1" },
		func(r *clusterRequest) { r.name = strings.Repeat("a", 64) },
		func(r *clusterRequest) { r.namespace = "a.b" },
		func(r *clusterRequest) { r.version = "1.37" },
		func(r *clusterRequest) { r.version = "latest" },
		func(r *clusterRequest) { r.controlPlanes = 0 },
		func(r *clusterRequest) { r.controlPlanes = -1 },
		func(r *clusterRequest) { r.controlPlanes = 2 },
		func(r *clusterRequest) { r.controlPlanes = 9 },
		func(r *clusterRequest) { r.workers = -1 },
		func(r *clusterRequest) { r.workers = 6000 },
		func(r *clusterRequest) { r.podCIDR = "10.244.0.0" },
		func(r *clusterRequest) { r.podCIDR = "10.244.0.0/33" },
		func(r *clusterRequest) { r.podCIDR = "10.244.1.0/16" },
		func(r *clusterRequest) { r.podCIDR = "fd00::/48" },
		func(r *clusterRequest) { r.podCIDR = "10.96.0.0/12" },
		func(r *clusterRequest) { r.podCIDR = "10.244.0.0/23" },
		func(r *clusterRequest) { r.podCIDR = "64.0.0.0/7" },
		func(r *clusterRequest) { r.serviceCIDR = "10.0.0.0/8"; r.podCIDR = "192.168.0.0/16" },
		func(r *clusterRequest) { r.serviceCIDR = "10.96.0.0/30" },
	} {
		request := goodRequest()
		change(&request)
		_, err := request.check()
		if usage := (*usageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%+v: error %v is no usage error", request, err)
			continue
		}
		out.WriteString(err.Error() + "\n")
	}
	golden(t, "refusals.txt", out.String())
}

func TestMissingImage(t *testing.T) {
	buildable := []string{"v1.37.1", "v1.36.3"}
	for _, test := range []struct{ name, version, want string }{
		{"slipway/node:v1.37.1", "v1.37.1", "slipway image build --kubernetes-version v1.37.1"},
		{"slipway/node:v1.30.0", "v1.30.0", "it has Kubernetes v1.37.1, v1.36.3; use --to with one of these"},
		{"slipway/haproxy:latest", "v1.37.1", "slipway image build --load-balancer"},
	} {
		if got := missingImage(test.name, "--to", test.version, buildable); !strings.Contains(got, test.want) || !strings.Contains(got, test.name) {
			t.Errorf("%s: %q does not name %q", test.name, got, test.want)
		}
	}
	if got := missingImage("kindest/node:v1.37.1", "--to", "v1.37.1", buildable); got != "" {
		t.Errorf("an image that may be pulled is refused: %s", got)
	}
}
