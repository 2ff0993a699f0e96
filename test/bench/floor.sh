#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The floor that Slipway's times are held against: the same image, the same steps of kubeadm init and join, the same network
# manifest, done by this script and nothing else. It knows beforehand what controllers have to find out, has no load balancer,
# starts all containers at once and all joins as soon as the first node can be joined.
#
#   floor.sh IMAGE WORKERS MANIFEST     prints "<phase> <seconds since the start>" lines
#
# The containers are removed at the end, also when it is interrupted. Their network does not lead out of the host.
set -euo pipefail
image=$1 workers=$2 manifest=$3
name=slipway-floor-$$
token=abcdef.0123456789abcdef
ignore=Swap,SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables
eviction='nodefs.available<0%,nodefs.inodesFree<0%,imagefs.available<0%'
work=$(mktemp -d)
nodes=("$name-control-plane")
for ((i = 1; i <= workers; i++)); do nodes+=("$name-worker-$i"); done

clean() {
	docker rm -fv "${nodes[@]}" >/dev/null 2>&1 || true
	docker network rm "$name" >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# A network with a way out that leads nowhere, in a subnet that the engine has free.
docker network create "$name" >/dev/null
subnet=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$name")
docker network rm "$name" >/dev/null
prefix=${subnet%.*}
docker network create --subnet "$subnet" --gateway "$prefix.1" --aux-address "DefaultGatewayIPv4=$prefix.254" \
	-o com.docker.network.bridge.enable_ip_masquerade=false "$name" >/dev/null

# Where the host forbids privileged containers, nodes run with all that it allows.
privileges=(--privileged)
if ! docker run --rm --privileged --entrypoint /bin/true "$image" >/dev/null 2>&1; then
	privileges=(--cap-add ALL --cap-drop SYS_RESOURCE --security-opt systempaths=unconfined --security-opt seccomp=unconfined
		--security-opt apparmor=unconfined --device-cgroup-rule 'a *:* rwm' --device /dev/kmsg)
	[ ! -e /dev/fuse ] || privileges+=(--device /dev/fuse)
fi
start() {
	docker run -d -t --name "$1" --hostname "$1" --network "$name" "${privileges[@]}" --cgroupns=private --tmpfs /run --tmpfs /tmp \
		-v /var -v /lib/modules:/lib/modules:ro -e container=docker "$image" >/dev/null
	docker exec "$1" /bin/sh -c 'i=0; while [ $i -lt 600 ]; do systemctl is-active --quiet containerd 2>/dev/null && exit 0; i=$((i+1)); sleep 0.1; done; exit 1'
}

began=$(date +%s.%N)
tell() { echo "$1 $(echo "$(date +%s.%N) $began" | awk '{ printf "%.2f", $1 - $2 }')"; }

for node in "${nodes[@]:1}"; do start "$node" & done
start "${nodes[0]}"
tell booted

leader=$(docker inspect -f "{{(index .NetworkSettings.Networks \"$name\").IPAddress}}" "${nodes[0]}")
docker exec -i "${nodes[0]}" tee /kind/kubeadm.yaml >/dev/null <<END
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${image##*:}
controlPlaneEndpoint: $leader:6443
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
docker exec "${nodes[0]}" kubeadm init --config=/kind/kubeadm.yaml --ignore-preflight-errors=$ignore >"$work/init" 2>&1 || { tail -n 20 "$work/init" >&2; exit 1; }
tell initialized
hash=$(grep -o 'sha256:[0-9a-f]*' "$work/init" | head -n 1)

join() {
	docker exec -i "$1" tee /kind/kubeadm.yaml >/dev/null <<-END
	apiVersion: kubeadm.k8s.io/v1beta4
	kind: JoinConfiguration
	discovery: {bootstrapToken: {apiServerEndpoint: "$leader:6443", token: $token, caCertHashes: ["$hash"]}}
	nodeRegistration:
	  kubeletExtraArgs: [{name: eviction-hard, value: "$eviction"}]
	END
	docker exec "$1" kubeadm join --config=/kind/kubeadm.yaml --ignore-preflight-errors=$ignore >"$work/$1" 2>&1 || { tail -n 20 "$work/$1" >&2; return 1; }
}
wait # for workers to boot
joins=()
for node in "${nodes[@]:1}"; do
	join "$node" &
	joins+=($!)
done
kubectl() { docker exec -i "${nodes[0]}" kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"; }
kubectl apply -f - <"$manifest" >/dev/null
tell network
for pid in ${joins[@]+"${joins[@]}"}; do wait "$pid"; done
tell joined
kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
tell ready
