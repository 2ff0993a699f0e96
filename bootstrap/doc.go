// SPDX-License-Identifier: Apache-2.0

// Package bootstrap turns a kubeadm configuration into the text that a machine boots from: a cloud-config that writes
// kubeadm's configuration and the cluster's certificates, and runs kubeadm init or kubeadm join.
//
// It owns the wire format of kubeadm's configuration (v1beta3 below Kubernetes 1.31, v1beta4 from there on), the
// cloud-config's layout, the paths and modes of the files, and the rules for braces in a text that cloud-init renders
// with Jinja. Render is a pure function: the same Input gives the same bytes, the Input is not changed, and nothing is
// read but the Input. The package never makes certificates or tokens, and never reads a Secret: the caller does, asking
// SecretKeys what the configuration refers to.
//
// # Braces
//
// The text begins with "## template: jinja", so cloud-init renders all of it with Jinja before it reads it as YAML.
// People rely on that for instance data ({{ ds.meta_data.local_hostname }}), and are bitten by it wherever a command or
// a file has braces of its own (docker inspect -f '{{.State}}', ${#names[@]}). So, for each command, file and value:
//
//   - an expression that begins with a name of cloud-init's instance data (ds, v1 and the like) is left for Jinja, and so
//     is a literal such as {{ '{{' }};
//   - a text with a {% raw %} tag, or with a statement that asks for instance data, was written for Jinja by its author,
//     and is left as it is, whole;
//   - any other {{, {% or {# comes out on the machine as it was written.
//
// An executor that carries out such a text without Jinja has to render those three forms, and no others: expressions
// of instance data, {{ '{{' }} (and '{%', '{#'), and nothing at all where there are no braces. Files that hold braces
// and no instance data are base64, so that they do not depend on it.
package bootstrap
