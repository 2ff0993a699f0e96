// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/plan"
)

// certificateMarks note on each machine, and on its KubeadmConfig, when the certificate of
// its API server ends. A note that is there is not changed: a user's goes before ours.
func certificateMarks(s Snapshot) []plan.Action {
	var marks []plan.Action
	for _, machine := range sorted(active(s)) {
		noted, found := notedExpiry(s, machine)
		if !found {
			seen, asked := s.Addons.CertificateExpiry[machine.Name]
			if !asked || !seen.OK() {
				continue
			}
			noted = seen.Value
		}
		value := noted.UTC().Format(time.RFC3339)
		if _, marked := expiryOn(machine); !marked {
			marks = append(marks, expiryMark(machineKind, machine, value))
		}
		if config := s.Objects[machine.Name].Config; config != nil {
			if _, marked := expiryOn(config); !marked {
				marks = append(marks, expiryMark(configKind, config, value))
			}
		}
	}
	return marks
}

func expiryMark(kind schema.GroupVersionKind, object metav1.Object, value string) plan.Action {
	intent := plan.Partial(kind, object)
	intent.SetAnnotations(map[string]string{clusterv1.MachineCertificatesExpiryDateAnnotation: value})
	return plan.Apply{Object: intent, Aspect: "certificates", Reason: "the certificate of its API server ends then"}
}

// expiryOn is the time that an object's annotation holds. One that is no time counts for
// none, and is written over.
func expiryOn(object metav1.Object) (time.Time, bool) {
	ends, err := time.Parse(time.RFC3339, object.GetAnnotations()[clusterv1.MachineCertificatesExpiryDateAnnotation])
	return ends, err == nil
}

// notedExpiry is what the Machine says, or else its KubeadmConfig.
func notedExpiry(s Snapshot, machine *clusterv1.Machine) (time.Time, bool) {
	if ends, noted := expiryOn(machine); noted {
		return ends, true
	}
	if config := s.Objects[machine.Name].Config; config != nil {
		return expiryOn(config)
	}
	return time.Time{}, false
}

// unmarkedMachines are those with an API server that runs and of whose certificate nothing
// is noted.
func unmarkedMachines(s Snapshot) []*clusterv1.Machine {
	if !s.Workload.OK() {
		return nil
	}
	server := components(s)[0]
	var unmarked []*clusterv1.Machine
	for _, machine := range sorted(active(s)) {
		if _, noted := notedExpiry(s, machine); noted || !machine.Status.NodeRef.IsDefined() {
			continue
		}
		if shown := podHealthy(s, machine, server); conditions.Is([]metav1.Condition{shown}, server.condition, metav1.ConditionTrue) {
			unmarked = append(unmarked, machine)
		}
	}
	return unmarked
}

// certificatesExpireSoon reports that a machine is to be replaced because of
// spec.rollout.before.certificatesExpiryDays, and says why.
func certificatesExpireSoon(s Snapshot, machine *clusterv1.Machine) (string, bool) {
	const day = 24 * time.Hour
	days := s.ControlPlane.Spec.Rollout.Before.CertificatesExpiryDays
	ends, noted := notedExpiry(s, machine)
	if days == 0 || !noted || !ends.Before(s.Now.Add(time.Duration(days)*day)) {
		return "", false
	}
	return fmt.Sprintf("the certificate of its API server ends at %s, within the %d days of spec.rollout.before.certificatesExpiryDays",
		ends.UTC().Format(time.RFC3339), days), true
}
