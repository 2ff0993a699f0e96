// SPDX-License-Identifier: Apache-2.0

package kubeadmconfig

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/machines"
	"github.com/slipway-project/slipway/plan"
)

// status is what a KubeadmConfig shows.
func status(s Snapshot, outcome plan.Outcome) bootstrapv1.KubeadmConfigStatus {
	shown := bootstrapv1.KubeadmConfigStatus{ObservedGeneration: s.Config.Generation}
	available := dataCreated(s.Config) || (s.Data != nil && isOurs(s, s.Data))
	if available {
		shown.Initialization.DataSecretCreated = &available
		shown.DataSecretName = s.Config.Name
	}
	certificates := certificatesAvailable(s, outcome, available)
	data := dataSecretAvailable(s, outcome, available)
	shown.Conditions = conditions.Next(s.Config.Status.Conditions, s.Config.Generation, s.Now,
		conditions.Summary(clusterv1.ReadyCondition,
			conditions.Reasons{True: clusterv1.ReadyReason, False: clusterv1.NotReadyReason, Unknown: clusterv1.ReadyUnknownReason},
			conditions.Part{Type: bootstrapv1.CertificatesAvailableCondition, Condition: &certificates},
			conditions.Part{Type: bootstrapv1.DataSecretAvailableCondition, Condition: &data},
		),
		certificates,
		data,
		machines.PausedCondition(machines.Paused(s.Cluster, s.Config)),
	)
	return shown
}

// certificatesAvailable is true once the certificates went into the data. Before that
// it tells what was found; Unknown while nobody has looked, because it is not time yet.
func certificatesAvailable(s Snapshot, outcome plan.Outcome, available bool) metav1.Condition {
	const condition = bootstrapv1.CertificatesAvailableCondition
	if available {
		return conditions.True(condition, clusterv1.AvailableReason, "")
	}
	if s.Certificates == nil {
		return conditions.Unknown(condition, clusterv1.AvailableUnknownReason, "not looked at yet: "+because(s, outcome))
	}
	for _, purpose := range purposes(s) {
		if certificate := s.Certificates[purpose]; certificate.Missing || certificate.Leftover != "" || certificate.Problem != "" {
			return conditions.False(condition, clusterv1.NotAvailableReason, because(s, outcome))
		}
	}
	return conditions.True(condition, clusterv1.AvailableReason, "")
}

func dataSecretAvailable(s Snapshot, outcome plan.Outcome, available bool) metav1.Condition {
	const condition = bootstrapv1.DataSecretAvailableCondition
	if available {
		return conditions.True(condition, clusterv1.AvailableReason, ignoredFields(s))
	}
	return conditions.False(condition, clusterv1.NotAvailableReason, because(s, outcome))
}

// ignoredFields says what of the KubeadmConfig has no effect. Once the data is not read any
// more, what was shown stands.
func ignoredFields(s Snapshot) string {
	if s.Data != nil {
		return s.Data.Annotations[ignoredAnnotation]
	}
	was := conditions.Find(s.Config.Status.Conditions, bootstrapv1.DataSecretAvailableCondition)
	if was == nil || was.Status != metav1.ConditionTrue {
		return ""
	}
	return was.Message
}

// because is why something is not there yet. What failed has the first word.
func because(s Snapshot, outcome plan.Outcome) string {
	switch {
	case s.LastFailure != nil:
		return s.LastFailure.Message
	case outcome.Message != "":
		return outcome.Message
	default:
		return outcome.Reason
	}
}
