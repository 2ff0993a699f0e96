// SPDX-License-Identifier: Apache-2.0

package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The types in this file are the shape of status.deprecated.v1beta1, where other implementations keep the conditions of
// API version v1beta1. They exist so that objects written by those can be read and written back without loss. No
// controller here fills or reads them.

// ConditionSeverity is how bad a v1beta1 condition is that is not True.
//
// +kubebuilder:validation:MaxLength=32
type ConditionSeverity string

// ConditionType is the type of a v1beta1 condition.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type ConditionType string

// Condition is a condition in the form of API version v1beta1.
type Condition struct {
	// type of the condition.
	// +required
	Type ConditionType `json:"type"`

	// status of the condition: True, False or Unknown.
	// +required
	Status corev1.ConditionStatus `json:"status"`

	// severity grades a condition that is not True.
	// +optional
	Severity ConditionSeverity `json:"severity,omitempty"`

	// lastTransitionTime is when the status last changed.
	// +required
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// reason is one word for the cause.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// message tells people more.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10240
	Message string `json:"message,omitempty"`
}

// Conditions are conditions in the form of API version v1beta1.
type Conditions []Condition
