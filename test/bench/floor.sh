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
# shellcheck source-path=SCRIPTDIR source=nodes.sh
. "$(dirname "$0")/nodes.sh"
nodes=("$name-control-plane")
for ((i = 1; i <= workers; i++)); do nodes+=("$name-worker-$i"); done

make_network
find_privileges "$image"

begin
for node in "${nodes[@]:1}"; do start "$node" "$image" & done
start "${nodes[0]}" "$image"
tell booted

leader=$(address "${nodes[0]}")
init "${nodes[0]}" "$leader" "${image##*:}"
tell initialized

wait # for workers to boot
joins=()
for node in "${nodes[@]:1}"; do
	join "$node" "$leader" &
	joins+=($!)
done
kubectl() { docker exec -i "${nodes[0]}" kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"; }
kubectl apply -f - <"$manifest" >/dev/null
tell network
for pid in ${joins[@]+"${joins[@]}"}; do wait "$pid"; done
tell joined
kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
tell ready
