// SPDX-License-Identifier: Apache-2.0

package v1beta2

// Types of conditions of a KubeadmConfig, besides Ready and Paused. Reasons are Available, NotAvailable and
// InternalError of the core group.
const (
	// CertificatesAvailableCondition: the cluster's certificates, which go into the data, exist.
	CertificatesAvailableCondition = "CertificatesAvailable"

	// DataSecretAvailableCondition: the Secret with the bootstrap data exists.
	DataSecretAvailableCondition = "DataSecretAvailable"
)
