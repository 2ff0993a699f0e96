// SPDX-License-Identifier: Apache-2.0

package credentials_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-project/slipway/credentials"
)

func TestEarlierOwner(t *testing.T) {
	owner := func(apiVersion, kind, name string, uid types.UID) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid}
	}
	controlPlane := func(name string, uid types.UID) metav1.OwnerReference {
		return owner("controlplane.cluster.x-k8s.io/v1beta2", "KubeadmControlPlane", name, uid)
	}
	cluster := func(uid types.UID) metav1.OwnerReference {
		return owner("cluster.x-k8s.io/v1beta2", "Cluster", "demo", uid)
	}
	for name, test := range map[string]struct {
		owners []metav1.OwnerReference
		want   types.UID
	}{
		"the user's":                         {nil, ""},
		"our control plane's":                {[]metav1.OwnerReference{controlPlane("cp", "cp-uid")}, ""},
		"our Cluster's":                      {[]metav1.OwnerReference{cluster("cluster-uid")}, ""},
		"an earlier one's of the same name":  {[]metav1.OwnerReference{controlPlane("cp", "old")}, "old"},
		"an earlier one's of another name":   {[]metav1.OwnerReference{controlPlane("demo-control-plane", "old")}, "old"},
		"an earlier Cluster's":               {[]metav1.OwnerReference{cluster("old")}, "old"},
		"an older API's":                     {[]metav1.OwnerReference{owner("controlplane.cluster.x-k8s.io/v1beta1", "KubeadmControlPlane", "cp", "old")}, "old"},
		"of an earlier one and of ours":      {[]metav1.OwnerReference{controlPlane("cp", "old"), cluster("cluster-uid")}, ""},
		"of ours and of an earlier one":      {[]metav1.OwnerReference{cluster("cluster-uid"), controlPlane("cp", "old")}, ""},
		"of a Cluster of another group":      {[]metav1.OwnerReference{owner("postgresql.cnpg.io/v1", "Cluster", "demo", "x")}, ""},
		"the user's, kept by something else": {[]metav1.OwnerReference{owner("cert-manager.io/v1", "Certificate", "demo-ca", "x")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{OwnerReferences: test.owners}}
			got := credentials.EarlierOwner(secret, "cluster-uid", "cp-uid")
			switch {
			case got == nil && test.want != "":
				t.Errorf("no earlier owner, want %s", test.want)
			case got != nil && got.UID != test.want:
				t.Errorf("earlier owner %s %s, want %q", got.Kind, got.UID, test.want)
			}
		})
	}
}
