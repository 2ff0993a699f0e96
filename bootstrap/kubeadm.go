// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	corev1 "k8s.io/api/core/v1"
)

// Paths on the machine that the bootstrap contract fixes or kubeadm has as defaults.
const (
	initConfigPath  = "/run/kubeadm/kubeadm.yaml"
	joinConfigPath  = "/run/kubeadm/kubeadm-join-config.yaml"
	placeholderPath = "/run/cluster-api/placeholder"
	// SentinelPath is where a machine leaves word that kubeadm succeeded; providers look for it.
	SentinelPath           = "/run/cluster-api/bootstrap-success.complete"
	defaultCertificatesDir = "/etc/kubernetes/pki"
)

// kubeadmFiles are kubeadm's configuration, the placeholder that makes the sentinel's folder, and the discovery
// kubeconfig where one is asked for.
func kubeadmFiles(in Input, d *dialect) ([]file, error) {
	configPath, render := joinConfigPath, joinConfiguration
	if in.Step == Init {
		configPath, render = initConfigPath, initConfiguration
	}
	text, err := render(in, d)
	if err != nil {
		return nil, err
	}
	var files []file
	if in.Step != Init {
		discovery, err := discoveryFile(in)
		if err != nil {
			return nil, err
		}
		files = append(files, discovery...)
	}
	return append(files,
		file{path: configPath, owner: rootOwner, permissions: "0640", content: text},
		file{path: placeholderPath, owner: rootOwner, permissions: "0640", content: "This file is here so that its folder is: the machine leaves a sentinel there when kubeadm has succeeded.\n"},
	), nil
}

// kubeadmCommand runs kubeadm, and only on success leaves the sentinel.
func kubeadmCommand(in Input) (string, error) {
	command := "kubeadm join --config " + joinConfigPath
	if in.Step == Init {
		command = "kubeadm init --config " + initConfigPath
	}
	if level := in.Spec.Verbosity; level != nil {
		if *level < 0 {
			return "", fmt.Errorf("spec.verbosity: %d is negative; give 0 to 10", *level)
		}
		command += fmt.Sprintf(" --v %d", *level)
	}
	return command + " && echo success > " + SentinelPath, nil
}

// initConfiguration is the content of kubeadm.yaml: a ClusterConfiguration and an InitConfiguration.
func initConfiguration(in Input, d *dialect) (string, error) {
	cluster, err := clusterConfiguration(in, d)
	if err != nil {
		return "", err
	}
	const path = "spec.initConfiguration"
	spec := in.Spec.InitConfiguration
	registration, err := d.registration(path+".nodeRegistration", spec.NodeRegistration)
	if err != nil {
		return "", err
	}
	init := wireInit{
		wireMeta:         d.meta("InitConfiguration"),
		NodeRegistration: registration,
		LocalAPIEndpoint: endpoint(spec.LocalAPIEndpoint),
		SkipPhases:       spec.SkipPhases,
		Patches:          patches(spec.Patches),
		Timeouts:         d.timeouts(path+".timeouts", spec.Timeouts),
	}
	// v1beta3 keeps this one timeout with the API server.
	if !d.beta4 && spec.Timeouts.ControlPlaneComponentHealthCheckSeconds != nil {
		if cluster.APIServer == nil {
			cluster.APIServer = &wireComponent{}
		}
		cluster.APIServer.TimeoutForControlPlane = seconds(spec.Timeouts.ControlPlaneComponentHealthCheckSeconds)
	}
	for i, token := range spec.BootstrapTokens {
		// kubeadm fills in a ttl of a day where none is given, and then refuses its own choice beside expires.
		if !token.Expires.IsZero() {
			return "", fmt.Errorf("%s.bootstrapTokens[%d].expires: kubeadm takes it from no configuration file; use ttlSeconds", path, i)
		}
		value := token.Token.String()
		if value == "" {
			return "", fmt.Errorf("%s.bootstrapTokens[%d].token: it is missing; make one with kubeadm token generate", path, i)
		}
		wire := wireToken{Token: value, Description: token.Description, TTL: seconds(token.TTLSeconds), Usages: token.Usages, Groups: token.Groups}
		init.BootstrapTokens = append(init.BootstrapTokens, wire)
	}
	if len(init.BootstrapTokens) == 0 && in.Discovery.Token != "" {
		if _, err := bootstrapv1.NewBootstrapTokenString(in.Discovery.Token); err != nil || in.Discovery.TokenTTL < time.Second {
			return "", errors.New("render bootstrap data: the token for kubeadm init is malformed, or its lifetime is under a second")
		}
		init.BootstrapTokens = []wireToken{{Token: in.Discovery.Token, TTL: in.Discovery.TokenTTL.Truncate(time.Second).String()}}
	}
	return documents(cluster, init)
}

// joinConfiguration is the content of kubeadm-join-config.yaml.
func joinConfiguration(in Input, d *dialect) (string, error) {
	const path = "spec.joinConfiguration"
	spec := in.Spec.JoinConfiguration
	registration, err := d.registration(path+".nodeRegistration", spec.NodeRegistration)
	if err != nil {
		return "", err
	}
	discovery, err := tokenOrFileDiscovery(in)
	if err != nil {
		return "", err
	}
	join := wireJoin{
		wireMeta:         d.meta("JoinConfiguration"),
		NodeRegistration: registration,
		CACertPath:       spec.CACertPath,
		Discovery:        discovery,
		SkipPhases:       spec.SkipPhases,
		Patches:          patches(spec.Patches),
		Timeouts:         d.timeouts(path+".timeouts", spec.Timeouts),
	}
	if !d.beta4 {
		// One timeout for discovery and the kubelet's TLS bootstrap in v1beta3.
		join.Discovery.Timeout = seconds(spec.Timeouts.DiscoverySeconds)
		if spec.Timeouts.ControlPlaneComponentHealthCheckSeconds != nil {
			d.ignore(path + ".timeouts.controlPlaneComponentHealthCheckSeconds")
		}
	}
	switch {
	case in.Step == JoinControlPlane:
		join.ControlPlane = &wireJoinControlPlane{}
		if spec.ControlPlane != nil {
			join.ControlPlane.LocalAPIEndpoint = endpoint(spec.ControlPlane.LocalAPIEndpoint)
		}
	case spec.ControlPlane != nil:
		return "", errors.New("spec.joinConfiguration.controlPlane: it is set, but the machine is a worker; remove it, or label the Machine cluster.x-k8s.io/control-plane")
	case in.TaintUninitialized:
		addUninitializedTaint(&join)
	}
	return documents(join)
}

// addUninitializedTaint adds the taint to those that the user set. A worker's default is no taint, so that nothing of
// kubeadm's is lost by setting the list.
func addUninitializedTaint(join *wireJoin) {
	taint := clusterv1.NodeUninitializedTaint
	if join.NodeRegistration == nil {
		join.NodeRegistration = &wireRegistration{}
	}
	var taints []corev1.Taint
	if join.NodeRegistration.Taints != nil {
		taints = slices.Clone(*join.NodeRegistration.Taints)
	}
	if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
		taints = append(taints, taint)
	}
	join.NodeRegistration.Taints = &taints
}

// clusterConfiguration fills kubeadm's ClusterConfiguration from Spec, Cluster and Machine.
func clusterConfiguration(in Input, d *dialect) (*wireCluster, error) {
	const path = "spec.clusterConfiguration"
	spec := in.Spec.ClusterConfiguration
	out := &wireCluster{
		wireMeta:             d.meta("ClusterConfiguration"),
		ClusterName:          in.ClusterName,
		KubernetesVersion:    "v" + d.kubernetes.String(),
		ControlPlaneEndpoint: spec.ControlPlaneEndpoint,
		Networking: wireNetworking{
			ServiceSubnet: strings.Join(in.Network.ServiceCIDRs, ","),
			PodSubnet:     strings.Join(in.Network.PodCIDRs, ","),
			DNSDomain:     in.Network.ServiceDomain,
		},
		CertificatesDir: spec.CertificatesDir,
	}
	if out.ControlPlaneEndpoint == "" {
		out.ControlPlaneEndpoint = in.ControlPlaneEndpoint
	}
	if out.ControlPlaneEndpoint == "" {
		return nil, errors.New("the Cluster's spec.controlPlaneEndpoint: it is not set, so the certificates would not name the address that nodes use; wait for the infrastructure to set it, or set it")
	}
	if spec.DNS.ImageRepository != "" || spec.DNS.ImageTag != "" {
		out.DNS = &wireDNS{ImageRepository: spec.DNS.ImageRepository, ImageTag: spec.DNS.ImageTag}
	}
	if err := d.settings(path, spec, out); err != nil {
		return nil, err
	}
	return out, nil
}

// settings fills in what may change while the cluster lives; what names the cluster, and its addresses, may not.
func (d *dialect) settings(path string, spec bootstrapv1.ClusterConfiguration, out *wireCluster) error {
	out.ImageRepository, out.FeatureGates = spec.ImageRepository, d.featureGates(spec.FeatureGates)
	var err error
	if out.APIServer, err = d.component(path+".apiServer", spec.APIServer.ExtraArgs, spec.APIServer.ExtraVolumes, spec.APIServer.ExtraEnvs); err != nil {
		return err
	}
	if len(spec.APIServer.CertSANs) > 0 {
		if out.APIServer == nil {
			out.APIServer = &wireComponent{}
		}
		out.APIServer.CertSANs = spec.APIServer.CertSANs
	}
	manager, scheduler := spec.ControllerManager, spec.Scheduler
	if out.ControllerManager, err = d.component(path+".controllerManager", manager.ExtraArgs, manager.ExtraVolumes, manager.ExtraEnvs); err != nil {
		return err
	}
	if out.Scheduler, err = d.component(path+".scheduler", scheduler.ExtraArgs, scheduler.ExtraVolumes, scheduler.ExtraEnvs); err != nil {
		return err
	}
	if out.Etcd, err = d.etcd(path+".etcd", spec.Etcd); err != nil {
		return err
	}
	d.certificateSettings(path, spec, out)
	return nil
}

// certificateSettings are v1beta4's. Lifetime and algorithm of the authorities themselves hold on any version, because
// it is not kubeadm that makes those; only what kubeadm signs with them keeps to kubeadm's defaults before.
func (d *dialect) certificateSettings(path string, spec bootstrapv1.ClusterConfiguration, out *wireCluster) {
	if !d.beta4 {
		if spec.EncryptionAlgorithm != "" {
			d.ignore(path + ".encryptionAlgorithm")
		}
		if spec.CertificateValidityPeriodDays != 0 {
			d.ignore(path + ".certificateValidityPeriodDays")
		}
		return
	}
	const day = 24 * time.Hour
	out.EncryptionAlgorithm = string(spec.EncryptionAlgorithm)
	if days := spec.CertificateValidityPeriodDays; days != 0 {
		out.CertificateValidityPeriod = (time.Duration(days) * day).String()
	}
	if days := spec.CACertificateValidityPeriodDays; days != 0 {
		out.CACertificateValidityPeriod = (time.Duration(days) * day).String()
	}
}

// featureGates are the user's and, from Kubernetes 1.31 to 1.35, ControlPlaneKubeletLocalMode: with it a new control
// plane's kubelet talks to the API server beside it and not through the load balancer, so that kubelets are never newer
// than the API server they talk to while versions are mixed. From 1.36 on kubeadm does so without being asked.
func (d *dialect) featureGates(gates map[string]bool) map[string]bool {
	const localMode = "ControlPlaneKubeletLocalMode"
	if _, set := gates[localMode]; set || !d.minorWithin(31, 35) {
		return gates
	}
	out := map[string]bool{localMode: true}
	for gate, on := range gates {
		out[gate] = on
	}
	return out
}

func (d *dialect) etcd(path string, etcd bootstrapv1.Etcd) (*wireEtcd, error) {
	local, external := etcd.Local, etcd.External
	if len(external.Endpoints) > 0 {
		if local.DataDir != "" || local.ImageTag != "" || local.ImageRepository != "" || len(local.ExtraArgs) > 0 {
			return nil, fmt.Errorf("%s: local and external exclude each other; remove one", path)
		}
		for _, field := range [][2]string{{"caFile", external.CAFile}, {"certFile", external.CertFile}, {"keyFile", external.KeyFile}} {
			if field[1] == "" {
				return nil, fmt.Errorf("%s.external.%s: it is missing; give the path on the machine", path, field[0])
			}
		}
		return &wireEtcd{External: &wireExternalEtcd{Endpoints: external.Endpoints, CAFile: external.CAFile, CertFile: external.CertFile, KeyFile: external.KeyFile}}, nil
	}
	arguments, err := d.arguments(path+".local.extraArgs", local.ExtraArgs)
	if err != nil {
		return nil, err
	}
	out := &wireLocalEtcd{
		ImageRepository: local.ImageRepository, ImageTag: local.ImageTag, DataDir: local.DataDir,
		ExtraArgs: arguments, ExtraEnvs: d.environment(path+".local.extraEnvs", local.ExtraEnvs),
		ServerCertSANs: local.ServerCertSANs, PeerCertSANs: local.PeerCertSANs,
	}
	if isZero(*out) {
		return nil, nil
	}
	return &wireEtcd{Local: out}, nil
}
