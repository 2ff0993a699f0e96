#!/bin/sh
# Written by slipway: the node's bootstrap.
umask 022
state=/var/lib/slipway/bootstrap
date +%s > "$state/started"
finish() {
  rm -f /run/slipway/bootstrap.sh
  date +%s > "$state/finished"
  echo "$1" > "$state/exit.next"
  mv "$state/exit.next" "$state/exit"
  exit "$1"
}
trap 'echo "slipway: the bootstrap was stopped"; finish 143' TERM
begin() {
  printf '%s\n' "$1/5 $2" > "$state/step.next"
  mv "$state/step.next" "$state/step"
  printf '%s\n' "slipway: step $1 of 5: $2"
}
check() {
  if [ "$1" -ne 0 ]; then
    echo "slipway: the step failed with exit code $1"
    finish "$1"
  fi
}

begin 1 'skipped disk_setup: a container has no disks of its own'
printf '%s\n' 'disk_setup: a container has no disks of its own' >> "$state/skipped"

begin 2 'write /run/kubeadm/kubeadm.yaml'
(
set -e
file='/run/kubeadm/kubeadm.yaml'
if [ -L "$file" ]; then file="$(readlink -f "$file")"; fi
mkdir -p "$(dirname "$file")"
next="$file.slipway-next"
(umask 077; : > "$next")
base64 -d > "$next" <<'CONTENT'
MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2
Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==
CONTENT
chown 'root:root' "$next"
chmod 0640 "$next"
mv -f "$next" "$file" 2>/dev/null || { cat "$next" > "$file"; rm -f "$next"; }
)
check $?

begin 3 'create user ann'
(
set -e
getent group 'adm' >/dev/null || groupadd 'adm'
id -u 'ann' >/dev/null 2>&1 || useradd -m -c 'Ann A' -G 'adm' 'ann'
usermod -a -G 'adm' 'ann'
chpasswd -e <<'PASSWORD'
ann:$6$x
PASSWORD
passwd -l 'ann' >/dev/null
mkdir -p -m 0750 /etc/sudoers.d
next="$(mktemp)"
printf '%s\n' 'ann ALL=(ALL) ALL' >> "$next"
chmod 0440 "$next"
mv -f "$next" '/etc/sudoers.d/90-ann'
home="$(getent passwd 'ann' | cut -d: -f6)"
mkdir -p -m 0700 "$home/.ssh"
grep -qxF -- 'ssh-ed25519 AAA' "$home/.ssh/authorized_keys" 2>/dev/null || printf '%s\n' 'ssh-ed25519 AAA' >> "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
chown -R 'ann': "$home/.ssh"
)
check $?

begin 4 'give the kubelet --provider-id=docker:////x'
(
set -e
file=/etc/default/kubelet
argument='--provider-id=docker:////x'
mkdir -p /etc/default
touch "$file"
was="$(sed -n 's/^KUBELET_EXTRA_ARGS=//p' "$file" | tail -n 1 | sed -e 's/^["'\'']//' -e 's/["'\'']$//')"
case " $was " in *" $argument "*) exit 0 ;; esac
# A file may lack its last line break.
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >> "$file"; fi
printf 'KUBELET_EXTRA_ARGS="%s"\n' "${was:+$was }$argument" >> "$file"
)
check $?

begin 5 'runcmd[0]: kubeadm init --config /run/kubeadm/kubeadm.yaml && echo '\''success'\'' > /run/cluster-api/bootstrap-succe ...'
(
set -e
exec sh -c 'kubeadm init --config /run/kubeadm/kubeadm.yaml && echo '\''success'\'' > /run/cluster-api/bootstrap-success.complete' </dev/null
)
check $?

echo 'slipway: the bootstrap is done'
finish 0
