// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	corev1 "k8s.io/api/core/v1"
)

// isZero keeps empty sections out of the documents.
func isZero(value any) bool { return reflect.ValueOf(value).IsZero() }

// seconds is a Go duration; "" for nil.
func seconds(value *int32) string {
	if value == nil {
		return ""
	}
	return (time.Duration(*value) * time.Second).String()
}

func endpoint(spec bootstrapv1.APIEndpoint) *wireEndpoint {
	if spec.AdvertiseAddress == "" && spec.BindPort == 0 {
		return nil
	}
	return &wireEndpoint{AdvertiseAddress: spec.AdvertiseAddress, BindPort: spec.BindPort}
}

func patches(spec bootstrapv1.Patches) *wirePatches {
	if spec.Directory == "" {
		return nil
	}
	return &wirePatches{Directory: spec.Directory}
}

// arguments are a list in v1beta4, where a flag may come several times, and a map in v1beta3, where it may not.
// nil for none.
func (d *dialect) arguments(path string, arguments []bootstrapv1.Arg) (any, error) {
	if len(arguments) == 0 {
		return nil, nil
	}
	list := make([]wireArg, 0, len(arguments))
	values := make(map[string]string, len(arguments))
	for i, argument := range arguments {
		if argument.Name == "" {
			return nil, fmt.Errorf("%s[%d].name: it is missing; give the flag's name without dashes", path, i)
		}
		value := ""
		if argument.Value != nil {
			value = *argument.Value
		}
		if _, found := values[argument.Name]; found && !d.beta4 {
			return nil, fmt.Errorf("%s[%d]: flag %q is given twice, which kubeadm allows from Kubernetes v1.31 on; join the values or use a later version", path, i, argument.Name)
		}
		values[argument.Name] = value
		list = append(list, wireArg{Name: argument.Name, Value: value})
	}
	if d.beta4 {
		return list, nil
	}
	return values, nil
}

func (d *dialect) environment(path string, variables *[]bootstrapv1.EnvVar) []corev1.EnvVar {
	if variables == nil || len(*variables) == 0 {
		return nil
	}
	if !d.beta4 {
		d.ignore(path)
		return nil
	}
	out := make([]corev1.EnvVar, 0, len(*variables))
	for _, variable := range *variables {
		out = append(out, variable.EnvVar)
	}
	return out
}

// component is one of the control plane's components; nil where nothing is set.
func (d *dialect) component(path string, arguments []bootstrapv1.Arg, volumes []bootstrapv1.HostPathMount, variables *[]bootstrapv1.EnvVar) (*wireComponent, error) {
	wireArguments, err := d.arguments(path+".extraArgs", arguments)
	if err != nil {
		return nil, err
	}
	out := wireComponent{ExtraArgs: wireArguments, ExtraEnvs: d.environment(path+".extraEnvs", variables)}
	var names []string
	for i, volume := range volumes {
		if slices.Contains(names, volume.Name) {
			return nil, fmt.Errorf("%s.extraVolumes[%d].name: %q is given twice, and the pod would be refused; choose another name", path, i, volume.Name)
		}
		names = append(names, volume.Name)
		out.ExtraVolumes = append(out.ExtraVolumes, wireVolume{
			Name: volume.Name, HostPath: volume.HostPath, MountPath: volume.MountPath, PathType: volume.PathType,
			ReadOnly: volume.ReadOnly != nil && *volume.ReadOnly,
		})
	}
	if isZero(out) {
		return nil, nil
	}
	return &out, nil
}

func (d *dialect) registration(path string, spec bootstrapv1.NodeRegistrationOptions) (*wireRegistration, error) {
	arguments, err := d.arguments(path+".kubeletExtraArgs", spec.KubeletExtraArgs)
	if err != nil {
		return nil, err
	}
	out := wireRegistration{
		Name: spec.Name, CRISocket: spec.CRISocket, KubeletExtraArgs: arguments,
		IgnorePreflightErrors: spec.IgnorePreflightErrors, ImagePullPolicy: spec.ImagePullPolicy,
		// A copy, because a taint may be added to it.
		Taints: cloneTaints(spec.Taints),
	}
	if spec.ImagePullSerial != nil {
		if d.beta4 {
			out.ImagePullSerial = spec.ImagePullSerial
		} else {
			d.ignore(path + ".imagePullSerial")
		}
	}
	if isZero(out) {
		return nil, nil
	}
	return &out, nil
}

// cloneTaints keeps the difference between nil (kubeadm's own taints) and empty (none).
func cloneTaints(taints *[]corev1.Taint) *[]corev1.Taint {
	if taints == nil {
		return nil
	}
	out := append([]corev1.Taint{}, *taints...)
	return &out
}

// timeouts are v1beta4's. In v1beta3 two of them have other places, which the callers fill; the rest is ignored.
func (d *dialect) timeouts(path string, spec bootstrapv1.Timeouts) *wireTimeouts {
	if !d.beta4 {
		for _, field := range []struct {
			name  string
			value *int32
		}{
			{"etcdAPICallSeconds", spec.EtcdAPICallSeconds},
			{"kubeletHealthCheckSeconds", spec.KubeletHealthCheckSeconds},
			{"kubernetesAPICallSeconds", spec.KubernetesAPICallSeconds},
			{"tlsBootstrapSeconds", spec.TLSBootstrapSeconds},
		} {
			if field.value != nil {
				d.ignore(path + "." + field.name)
			}
		}
		return nil
	}
	out := wireTimeouts{
		ControlPlaneComponentHealthCheck: seconds(spec.ControlPlaneComponentHealthCheckSeconds),
		KubeletHealthCheck:               seconds(spec.KubeletHealthCheckSeconds),
		KubernetesAPICall:                seconds(spec.KubernetesAPICallSeconds),
		EtcdAPICall:                      seconds(spec.EtcdAPICallSeconds),
		TLSBootstrap:                     seconds(spec.TLSBootstrapSeconds),
		Discovery:                        seconds(spec.DiscoverySeconds),
	}
	if isZero(out) {
		return nil
	}
	return &out
}
