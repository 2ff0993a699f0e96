// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"crypto/rand"
	"fmt"

	"github.com/slipway-project/slipway/credentials"
)

// standIns are, by name of a Secret, data that stand for what the Secrets of the clusters
// in a namespace hold: pairs that fit together, and kubeconfigs that fit to them. So plans
// find them in order, whatever the real ones are like.
func (w *World) standIns(namespace string) (map[string]map[string][]byte, error) {
	stands := map[string]map[string][]byte{}
	pairs := map[credentials.Purpose]credentials.Pair{}
	purposes := append(credentials.Purposes(), credentials.APIServerEtcdClient)
	for _, owner := range w.allClusters() {
		if owner.Namespace != namespace {
			continue
		}
		for _, purpose := range purposes {
			if _, made := pairs[purpose]; !made {
				drawn := purpose
				if purpose == credentials.APIServerEtcdClient {
					drawn = credentials.EtcdCA
				}
				pair, err := credentials.NewPair(drawn, credentials.ECDSAP256, 0, w.now, rand.Reader)
				if err != nil {
					return nil, fmt.Errorf("make a stand-in: %w", err)
				}
				pairs[purpose] = pair
			}
			stands[credentials.SecretName(owner.Name, purpose)] = credentials.PairSecret(namespace, owner.Name, purpose, pairs[purpose]).Data
		}
		endpoint := owner.Spec.ControlPlaneEndpoint
		if !endpoint.IsValid() {
			continue
		}
		kubeconfig, err := credentials.NewKubeconfig(owner.Name, credentials.ServerURL(endpoint.Host, endpoint.Port), pairs[credentials.ClusterCA], credentials.ECDSAP256, w.now, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a stand-in: %w", err)
		}
		stands[credentials.KubeconfigSecretName(owner.Name)] = credentials.KubeconfigSecret(namespace, owner.Name, kubeconfig).Data
	}
	return stands, nil
}
