#!/bin/sh
# Written by slipway: the node's bootstrap.
umask 022
date +%s > /var/lib/slipway/bootstrap/started
slipway_record() {
  rm -f /run/slipway/bootstrap.sh
  date +%s > /var/lib/slipway/bootstrap/finished
  echo "$1" > /var/lib/slipway/bootstrap/exit.next
  mv /var/lib/slipway/bootstrap/exit.next /var/lib/slipway/bootstrap/exit
}
slipway_finish() {
  slipway_record "$1"
  exit "$1"
}
slipway_stop() {
  trap '' TERM
  systemctl kill --signal=TERM slipway-bootstrap.service
  sleep 1
  echo "slipway: the bootstrap was stopped"
  slipway_record 143
  systemctl kill --signal=KILL slipway-bootstrap.service
  exit 143
}
trap slipway_stop TERM
slipway_begin() {
  printf '%s\n' "$1/6 $2" > /var/lib/slipway/bootstrap/step.next
  command -p mv /var/lib/slipway/bootstrap/step.next /var/lib/slipway/bootstrap/step
  printf '%s\n' "slipway: step $1 of 6: $2"
}
slipway_check() {
  [ "$1" -eq 0 ] || exit "$1"
}
slipway_wait() {
  wait $!
  slipway_code=$?
  if [ "$slipway_code" -ne 0 ]; then
    echo "slipway: the step failed with exit code $slipway_code"
    slipway_finish "$slipway_code"
  fi
  case "$(cat /var/lib/slipway/bootstrap/step)" in
  "$1/"*) ;;
  *)
    echo "slipway: the step ended the shell of the commands after it, which were not carried out"
    slipway_finish 1
    ;;
  esac
}

(
slipway_begin 1 'skipped disk_setup: a container has no disks of its own'
set -e
printf '%s\n' 'disk_setup: a container has no disks of its own' >> /var/lib/slipway/bootstrap/skipped
) </dev/null &
slipway_wait 1

(
slipway_begin 2 'write /run/kubeadm/kubeadm.yaml'
set -e
file='/run/kubeadm/kubeadm.yaml'
if [ -L "$file" ]; then file="$(readlink -f "$file")"; fi
if [ -d "$file" ]; then echo "slipway: $file is a directory" >&2; exit 1; fi
mkdir -p "$(dirname "$file")"
next="$file.slipway-next"
(umask 077; : > "$next")
base64 -d > "$next" <<'CONTENT'
MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2
Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==
CONTENT
chown 'root:root' "$next"
chmod 0640 "$next"
mv -fT "$next" "$file" 2>/dev/null || { cat "$next" > "$file"; rm -f "$next"; }
) </dev/null &
slipway_wait 2

(
slipway_begin 3 'create user ann'
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
) </dev/null &
slipway_wait 3

(
slipway_begin 4 'give the kubelet --provider-id=docker:////x'
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
) </dev/null &
slipway_wait 4

(
slipway_begin 5 'runcmd[0]: cd /it'\''s here'
'cd' '/it'\''s here'
slipway_check $?
slipway_begin 6 'runcmd[1]: kubeadm init --config /run/kubeadm/kubeadm.yaml && echo '\''success'\'' > /run/cluster-api/bootstrap-succe ...'
eval 'kubeadm init --config /run/kubeadm/kubeadm.yaml && echo '\''success'\'' > /run/cluster-api/bootstrap-success.complete'
slipway_check $?
) </dev/null &
slipway_wait 6

echo 'slipway: the bootstrap is done'
slipway_finish 0
