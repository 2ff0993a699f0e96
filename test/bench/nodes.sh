# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
# What floor.sh and floor-upgrade.sh have in common: containers that are nodes, on a network that does not lead out of the
# host, and plain kubeadm in them. It is sourced, not run, with $name set: all that is made is named and labelled by it, and
# removed at the end, also after an interruption.
token=abcdef.0123456789abcdef
ignore=Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables
eviction='nodefs.available<0%,nodefs.inodesFree<0%,imagefs.available<0%'
work=$(mktemp -d)

# What was being started when the script was interrupted may appear after the others were removed.
clean() {
	trap '' INT TERM
	for _ in 1 2 3 4 5; do
		docker ps -aq --filter "label=slipway.floor=$name" | xargs -r docker rm -fv >/dev/null 2>&1 || true
		wait
		docker network rm "$name" >/dev/null 2>&1 || true
		docker network inspect "$name" >/dev/null 2>&1 || break
		sleep 1
	done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# make_network makes a network with a way out that leads nowhere, in a subnet that the engine has free.
make_network() {
	docker network create "$name" >/dev/null
	local subnet prefix
	subnet=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$name")
	docker network rm "$name" >/dev/null
	prefix=${subnet%.*}
	docker network create --subnet "$subnet" --gateway "$prefix.1" --aux-address "DefaultGatewayIPv4=$prefix.254" \
		-o com.docker.network.bridge.enable_ip_masquerade=false "$name" >/dev/null
}

# find_privileges IMAGE finds with what nodes can run: where the host forbids privileged containers, with all that it allows.
find_privileges() {
	privileges=(--privileged)
	if ! docker run --rm --privileged --entrypoint /bin/true "$1" >/dev/null 2>&1; then
		privileges=(--cap-add ALL --cap-drop SYS_RESOURCE --security-opt systempaths=unconfined --security-opt seccomp=unconfined
			--security-opt apparmor=unconfined --device-cgroup-rule 'a *:* rwm' --device /dev/kmsg)
		[ ! -e /dev/fuse ] || privileges+=(--device /dev/fuse)
	fi
}

# start NODE IMAGE starts a node, and returns when it has booted.
start() {
	docker run -d -t --name "$1" --hostname "$1" --label "slipway.floor=$name" --network "$name" "${privileges[@]}" --cgroupns=private \
		--tmpfs /run --tmpfs /tmp -v /var -v /lib/modules:/lib/modules:ro -e container=docker "$2" >/dev/null
	docker exec "$1" /bin/sh -c 'i=0; while [ $i -lt 600 ]; do systemctl is-active --quiet containerd 2>/dev/null && exit 0; i=$((i+1)); sleep 0.1; done; exit 1'
}

address() { docker inspect -f "{{(index .NetworkSettings.Networks \"$name\").IPAddress}}" "$1"; }

# begin starts the clock that tell reads: it prints a phase with the seconds since then.
begin() { began=$(date +%s.%N); }
tell() { echo "$1 $(echo "$(date +%s.%N) $began" | awk '{ printf "%.2f", $1 - $2 }')"; }

# kubeadm NODE ARGUMENTS... runs kubeadm, whose words are shown only when it fails.
kubeadm() {
	docker exec "$1" kubeadm "${@:2}" >"$work/$1" 2>&1 || { tail -n 20 "$work/$1" >&2; return 1; }
}

# init NODE ENDPOINT VERSION makes the first control plane; what is needed to join it is in $hash then.
init() {
	docker exec -i "$1" tee /kind/kubeadm.yaml >/dev/null <<-END
	apiVersion: kubeadm.k8s.io/v1beta4
	kind: ClusterConfiguration
	kubernetesVersion: $3
	controlPlaneEndpoint: $2:6443
	networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}
	apiServer: {certSANs: [localhost, 127.0.0.1]}
	---
	apiVersion: kubeadm.k8s.io/v1beta4
	kind: InitConfiguration
	bootstrapTokens: [{token: $token}]
	nodeRegistration:
	  kubeletExtraArgs: [{name: eviction-hard, value: "$eviction"}]
	---
	apiVersion: kubeproxy.config.k8s.io/v1alpha1
	kind: KubeProxyConfiguration
	conntrack: {maxPerCore: 0}
	END
	kubeadm "$1" init --config=/kind/kubeadm.yaml --ignore-preflight-errors=$ignore
	hash=$(grep -o 'sha256:[0-9a-f]*' "$work/$1" | head -n 1)
}

# join NODE ENDPOINT [MORE] joins a node; MORE is a line of the configuration.
join() {
	docker exec -i "$1" tee /kind/kubeadm.yaml >/dev/null <<-END
	apiVersion: kubeadm.k8s.io/v1beta4
	kind: JoinConfiguration
	discovery: {bootstrapToken: {apiServerEndpoint: "$2:6443", token: $token, caCertHashes: ["$hash"]}}
	nodeRegistration:
	  kubeletExtraArgs: [{name: eviction-hard, value: "$eviction"}]
	${3:-}
	END
	kubeadm "$1" join --config=/kind/kubeadm.yaml --ignore-preflight-errors=$ignore
}
