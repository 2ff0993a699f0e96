#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The floor of a cluster that changes: one control plane and one worker get two control planes more, then everything is
# replaced by machines of a newer version, one control plane after the other and the worker last. The images, the steps of
# kubeadm and those on etcd are the same as Slipway's, the load balancer too; a plain script does them, which knows beforehand
# what comes. It boots each machine while the one before joins, passes images on before anybody needs them, and checks nothing
# but what the next step cannot do without.
#
#   floor-upgrade.sh OLD-IMAGE NEW-IMAGE LOAD-BALANCER-IMAGE MANIFEST KUBECONFIG
#
# prints "<phase> <seconds>" lines, from the phases "grow" and "upgrade" on, which are 0. KUBECONFIG is a file that it writes
# before the first of them: the way to the cluster through its endpoint.
#
# The containers are removed at the end, also when it is interrupted. Their network does not lead out of the host.
set -euo pipefail
old_image=$1 new_image=$2 balancer_image=$3 manifest=$4 kubeconfig=$5
name=slipway-floor-$$
# shellcheck source-path=SCRIPTDIR source=nodes.sh
. "$(dirname "$0")/nodes.sh"
old=("$name-old-1" "$name-old-2" "$name-old-3") new=("$name-new-1" "$name-new-2" "$name-new-3")
old_worker=$name-old-worker new_worker=$name-new-worker
balancer=$name-lb

# kubectl runs in a control plane that stays for as long as it is asked.
through=${old[0]}
kubectl() { docker exec -i "$through" kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"; }

# serve NODES... makes the load balancer lead to these control planes, as Slipway's does.
serve() {
	local node
	{
		cat <<-'END'
		global
		  log stdout format raw local0 notice
		  fd-hard-limit 16384
		  hard-stop-after 30m
		  stats socket /tmp/haproxy.sock mode 600 level admin expose-fd listeners
		defaults
		  log global
		  mode tcp
		  timeout connect 2s
		  timeout client 24h
		  timeout server 24h
		  timeout check 3s
		  retries 3
		  option redispatch 1
		frontend control-plane
		  bind *:6443
		  default_backend kube-apiservers
		backend kube-apiservers
		  balance roundrobin
		  option httpchk GET /readyz
		  http-check expect rstatus ^(200|401|403)$
		  default-server check check-ssl verify none inter 2s downinter 500ms fastinter 500ms rise 1 fall 3 on-marked-down shutdown-sessions observe layer4 error-limit 2 on-error mark-down
		END
		for node in "$@"; do echo "  server $node $(address "$node"):6443"; done
	} >"$work/haproxy.cfg"
	docker cp "$work/haproxy.cfg" "$balancer:/usr/local/etc/haproxy/haproxy.cfg" >/dev/null 2>&1
	docker kill --signal HUP "$balancer" >/dev/null
}

# certify NODE gives a node the authorities that control planes share, from one that has them.
authorities=(pki/ca.crt pki/ca.key pki/sa.key pki/sa.pub pki/front-proxy-ca.crt pki/front-proxy-ca.key pki/etcd/ca.crt pki/etcd/ca.key)
certify() { docker exec "$through" tar -C /etc/kubernetes -c "${authorities[@]}" | docker exec -i "$1" tar -C /etc/kubernetes -x; }

# addons NODE lists the images of kube-proxy and CoreDNS in a node.
addons() { docker exec "$1" sh -c 'ctr -n k8s.io images ls -q | grep -E "/(kube-proxy|coredns):"' 2>/dev/null; }

# pack NODE FOLDER IMAGES... writes images of a node into a folder, a file for each. The nodes' images come without the archives
# of their layers (ctr images export needs those), so each is made anew from its unpacked files.
pack() {
	local node=$1 folder=$2 image
	mkdir "$folder"
	for image in "${@:3}"; do
		docker exec -i "$node" bash -euo pipefail -s "$image" >"$folder/${image//\//_}" 2>"$work/pack" <<-'END' || { cat "$work/pack" >&2; return 1; }
		ctr() { command ctr -n k8s.io "$@"; }
		cd "$(mktemp -d -p /var/tmp)"
		mkdir files archive
		ctr images mount "$1" files >/dev/null
		tar -C files -cf archive/layer.tar .
		ctr images unmount --rm files >/dev/null
		layer=$(sha256sum <archive/layer.tar | cut -d' ' -f1)
		config=$(ctr images inspect --content "$1" | grep -o 'image\.config\.v1+json @sha256:[0-9a-f]*' | cut -d@ -f2)
		ctr content get "$config" | jq -c --arg layer "sha256:$layer" '.rootfs.diff_ids = [$layer] | del(.history)' >archive/config.json
		jq -n -c --arg name "$1" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' >archive/manifest.json
		tar -C archive -c manifest.json config.json layer.tar
		rm -rf "$PWD"
		END
	done
}

# pass_on FOLDER NODE gives a node the images of a folder.
pass_on() {
	local file
	for file in "$1"/*; do docker exec -i "$2" ctr -n k8s.io images import - <"$file" >/dev/null 2>"$work/import-$2" || { cat "$work/import-$2" >&2; return 1; }; done
}

join_control_plane() { join "$1" "$endpoint" "controlPlane: {localAPIEndpoint: {bindPort: 6443}}"; }

# retire NODE removes a node that nobody needs any more.
retire() {
	docker rm -fv "$1" >/dev/null
	kubectl delete node "$1" >/dev/null
}

drain() { kubectl drain "$1" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s >"$work/drain" 2>&1 || { cat "$work/drain" >&2; return 1; }; }

# boot NODE IMAGE [PREPARE] starts a node in the background; PREPARE is what else is to be done before its join.
declare -A booting
boot() {
	local preparing=${3:-true}
	(
		start "$1" "$2"
		$preparing "$1"
	) &
	booting[$1]=$!
}
booted() { wait "${booting[$1]}"; }

make_network
find_privileges "$old_image"
docker run -d --name "$balancer" --label "slipway.floor=$name" --network "$name" --tmpfs /tmp:mode=1777 -p 127.0.0.1::6443 "$balancer_image" >/dev/null
endpoint=$(address "$balancer")

# One control plane and one worker, which is where the clocks begin.
boot "$old_worker" "$old_image"
start "${old[0]}" "$old_image"
serve "${old[0]}"
init "${old[0]}" "$endpoint" "${old_image##*:}"
kubectl apply -f - <"$manifest" >/dev/null
booted "$old_worker"
join "$old_worker" "$endpoint"
kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
kubectl -n kube-system rollout status deployment/coredns --timeout=180s >/dev/null
(umask 077 && docker exec "${old[0]}" sed "s|server: .*|server: https://$(docker port "$balancer" 6443/tcp | head -n 1)|" /etc/kubernetes/admin.conf >"$kubeconfig")

begin
tell grow
boot "${old[1]}" "$old_image" certify
boot "${old[2]}" "$old_image" certify
phases=(grow-second grow-third)
for i in 1 2; do
	booted "${old[i]}"
	join_control_plane "${old[i]}"
	serve "${old[@]:0:i+1}"
	tell "${phases[i-1]}"
done
kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
tell grow-ready

begin
tell upgrade
# Until the add-ons are raised, the new machines run the old ones; after it, the old worker the new ones.
prepare() {
	certify "$1"
	until [ -e "$work/packed" ]; do sleep 0.1; done
	pass_on "$work/addons-old" "$1"
}
boot "${new[0]}" "$new_image" prepare
mapfile -t images < <(addons "${old[0]}")
pack "${old[0]}" "$work/addons-old" "${images[@]}"
touch "$work/packed"
kubectl -n kube-system get configmap kubeadm-config -o yaml >"$work/config"
sed "s/kubernetesVersion: .*/kubernetesVersion: ${new_image##*:}/" "$work/config" | kubectl replace -f - >/dev/null
phases=(upgrade-first upgrade-second upgrade-third)
for i in 0 1 2; do
	booted "${new[i]}"
	# The next boots while this one joins: all at once would keep each other from it.
	case $i in
	2) boot "$new_worker" "$new_image" ;;
	*) boot "${new[i + 1]}" "$new_image" prepare ;;
	esac
	join_control_plane "${new[i]}"
	through=${new[i]}
	serve "${old[@]:i+1}" "${new[@]:0:i+1}"
	drain "${old[i]}"
	kubeadm "${old[i]}" reset phase remove-etcd-member
	retire "${old[i]}"
	tell "${phases[i]}"
	[ "$i" != 0 ] || {
		mapfile -t images < <(addons "$through" | grep -vxF "$(printf '%s\n' "${images[@]}")")
		(
			pack "$through" "$work/addons-new" "${images[@]}"
			pass_on "$work/addons-new" "$old_worker"
		) &
		passing=$!
	}
done

wait "$passing"
for image in "${images[@]}"; do
	case $image in
	*/kube-proxy:*) kubectl -n kube-system set image daemonset/kube-proxy "kube-proxy=$image" >/dev/null ;;
	*/coredns:*) kubectl -n kube-system set image deployment/coredns "coredns=$image" >/dev/null ;;
	esac
done
booted "$new_worker"
join "$new_worker" "$endpoint"
drain "$old_worker"
retire "$old_worker"
tell upgrade-workers
kubectl -n kube-system rollout status daemonset/kube-proxy --timeout=180s >/dev/null
kubectl -n kube-system rollout status deployment/coredns --timeout=180s >/dev/null
tell upgrade-addons
kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
tell upgrade-settled
