// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Where a run keeps its things in the node. The state is on the node's volume, so that it is still known after the node
// restarts that its bootstrap is done. The script itself holds secrets and lives in memory only, until it ends.
const (
	stateDirectory = "/var/lib/slipway/bootstrap"
	scriptPath     = "/run/slipway/bootstrap.sh"
	unit           = "slipway-bootstrap.service"
	// Sentinel is the file by which bootstrap data says that it succeeded, by Cluster API's contract.
	Sentinel = "/run/cluster-api/bootstrap-success.complete"
)

// prologue defines what the steps use. The names are long, because commands of users run in the same shell:
//
//   - slipway_begin tells which step is under way, for whoever reads the state;
//   - slipway_check ends a shell of commands when one failed;
//   - slipway_wait waits for a step in a shell of its own, or for a row of commands in one shell, and ends the run when it
//     failed: what comes after may build on it. A shell that ends before the last of its steps has failed too: nothing is
//     left out silently;
//   - slipway_finish leaves exit code and time, the code last, since it is what marks the end;
//   - slipway_stop ends everything that the run has begun. systemd tells only this process to stop (see startScript).
//
// cloud-init goes on after a command that fails. Here the run stops and shows the step that failed, instead of a node that
// is wrong in a way that is hard to see.
const prologue = `#!/bin/sh
# Written by slipway: the node's bootstrap.
umask 022
date +%%s > %[1]s/started
slipway_record() {
  rm -f %[2]s
  date +%%s > %[1]s/finished
  echo "$1" > %[1]s/exit.next
  mv %[1]s/exit.next %[1]s/exit
}
slipway_finish() {
  slipway_record "$1"
  exit "$1"
}
slipway_stop() {
  trap '' TERM
  systemctl kill --signal=TERM %[4]s
  sleep 1
  echo "slipway: the bootstrap was stopped"
  slipway_record 143
  systemctl kill --signal=KILL %[4]s
  exit 143
}
trap slipway_stop TERM
slipway_begin() {
  printf '%%s\n' "$1/%[3]d $2" > %[1]s/step.next
  command -p mv %[1]s/step.next %[1]s/step
  printf '%%s\n' "slipway: step $1 of %[3]d: $2"
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
  case "$(cat %[1]s/step)" in
  "$1/"*) ;;
  *)
    echo "slipway: the step ended the shell of the commands after it, which were not carried out"
    slipway_finish 1
    ;;
  esac
}
`

// Script is the shell script (POSIX sh) that carries out the steps, in order, and stops at the first that fails. The
// commands of one section run in one shell, as cloud-init has it: a directory, a variable or a function of one is there for
// the next. Script holds the steps' secrets.
func Script(steps []Step) string {
	var out strings.Builder
	fmt.Fprintf(&out, prologue, stateDirectory, scriptPath, len(steps), unit)
	for i := 0; i < len(steps); {
		count := commandsAt(steps[i:])
		out.WriteString("\n(\n")
		for number := i + 1; number <= i+count; number++ {
			step := steps[number-1]
			fmt.Fprintf(&out, "slipway_begin %d %s\n", number, quote(step.Title()))
			if command, ok := step.(Command); ok {
				fmt.Fprintf(&out, "%s\nslipway_check $?\n", runCommand(command))
				continue
			}
			fmt.Fprintf(&out, "set -e\n%s\n", strings.TrimRight(body(step), "\n"))
		}
		i += count
		fmt.Fprintf(&out, ") </dev/null &\nslipway_wait %d\n", i)
	}
	out.WriteString("\necho 'slipway: the bootstrap is done'\nslipway_finish 0\n")
	return out.String()
}

// commandsAt is how many steps at the beginning run in one shell: the commands of one section, or any other step alone.
func commandsAt(steps []Step) int {
	count := 1
	for count < len(steps) && section(steps[0]) != "" && section(steps[count]) == section(steps[0]) {
		count++
	}
	return count
}

// section is where a command stands; empty for other steps.
func section(step Step) string {
	command, ok := step.(Command)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(command.Origin, "[")
	return name
}

// body is the shell code of one step that is no command; it runs in a shell of its own that ends at the first failure.
func body(step Step) string {
	switch s := step.(type) {
	case WriteFile:
		return writeFile(s)
	case CreateUser:
		return createUser(s)
	case KubeletArgument:
		return kubeletArgument(s)
	case Skipped:
		return fmt.Sprintf("printf '%%s\\n' %s >> %s/skipped", quote(oneLine(s.What+": "+s.Why)), stateDirectory)
	}
	// A kind without code must not pass for done.
	return fmt.Sprintf("printf '%%s\\n' %s; exit 1", quote(fmt.Sprintf("slipway: no way to carry out %T", step)))
}

// writeFile writes beside the file and renames, so that nobody reads half of it; appending cannot be done so, nor replacing
// a file that the engine has mounted, as it does with /etc/hosts and /etc/resolv.conf. A link is followed.
func writeFile(s WriteFile) string {
	var out strings.Builder
	fmt.Fprintf(&out, "file=%s\nif [ -L \"$file\" ]; then file=\"$(readlink -f \"$file\")\"; fi\nif [ -d \"$file\" ]; then echo \"slipway: $file is a directory\" >&2; exit 1; fi\nmkdir -p \"$(dirname \"$file\")\"\n", quote(s.Path))
	target := "$file"
	if s.Append {
		out.WriteString("base64 -d >> \"$file\" <<'CONTENT'\n")
	} else {
		target = "$next"
		out.WriteString("next=\"$file.slipway-next\"\n(umask 077; : > \"$next\")\nbase64 -d > \"$next\" <<'CONTENT'\n")
	}
	encoded := base64.StdEncoding.EncodeToString(s.Content)
	for len(encoded) > 76 {
		out.WriteString(encoded[:76] + "\n")
		encoded = encoded[76:]
	}
	if encoded != "" {
		out.WriteString(encoded + "\n")
	}
	out.WriteString("CONTENT\n")
	if s.Owner != "" {
		fmt.Fprintf(&out, "chown %s \"%s\"\n", quote(s.Owner), target)
	}
	fmt.Fprintf(&out, "chmod %04o \"%s\"\n", s.Mode, target)
	if !s.Append {
		out.WriteString("mv -fT \"$next\" \"$file\" 2>/dev/null || { cat \"$next\" > \"$file\"; rm -f \"$next\"; }\n")
	}
	return out.String()
}

// runCommand is the shell code of a command, for a shell that goes on to the next one. The words of a list are a command
// with its arguments, as written, and may be one of the shell's own.
func runCommand(s Command) string {
	if s.Argv == nil {
		return "eval " + quote(s.Shell)
	}
	words := make([]string, len(s.Argv))
	for i, word := range s.Argv {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

func createUser(s CreateUser) string {
	var out strings.Builder
	name := quote(s.Name)
	groups := s.Groups
	if s.PrimaryGroup != "" {
		groups = append([]string{s.PrimaryGroup}, groups...)
	}
	for _, group := range groups {
		fmt.Fprintf(&out, "getent group %[1]s >/dev/null || groupadd %[1]s\n", quote(group))
	}
	options := []string{"-m"}
	for _, option := range []struct{ flag, value string }{
		{"-c", s.Gecos}, {"-d", s.Home}, {"-s", s.Shell}, {"-g", s.PrimaryGroup}, {"-G", strings.Join(s.Groups, ",")},
	} {
		if option.value != "" {
			options = append(options, option.flag, quote(option.value))
		}
	}
	fmt.Fprintf(&out, "id -u %[1]s >/dev/null 2>&1 || useradd %[2]s %[1]s\n", name, strings.Join(options, " "))
	for _, group := range s.Groups {
		fmt.Fprintf(&out, "usermod -a -G %s %s\n", quote(group), name)
	}
	if s.PasswordHash != "" {
		// Through standard input: arguments can be read by every process of the node.
		fmt.Fprintf(&out, "chpasswd -e <<'PASSWORD'\n%s:%s\nPASSWORD\n", s.Name, s.PasswordHash)
	}
	if s.LockPassword {
		fmt.Fprintf(&out, "passwd -l %s >/dev/null\n", name)
	}
	if s.Expired {
		fmt.Fprintf(&out, "usermod --expiredate 1 %s\n", name)
	}
	if len(s.Sudo) > 0 {
		file := "/etc/sudoers.d/90-" + strings.ReplaceAll(s.Name, ".", "_")
		out.WriteString("mkdir -p -m 0750 /etc/sudoers.d\nnext=\"$(mktemp)\"\n")
		for _, rule := range s.Sudo {
			fmt.Fprintf(&out, "printf '%%s\\n' %s >> \"$next\"\n", quote(s.Name+" "+rule))
		}
		fmt.Fprintf(&out, "chmod 0440 \"$next\"\nmv -f \"$next\" %s\n", quote(file))
	}
	if len(s.AuthorizedKeys) > 0 {
		fmt.Fprintf(&out, "home=\"$(getent passwd %s | cut -d: -f6)\"\nmkdir -p -m 0700 \"$home/.ssh\"\n", name)
		for _, key := range s.AuthorizedKeys {
			fmt.Fprintf(&out, "grep -qxF -- %[1]s \"$home/.ssh/authorized_keys\" 2>/dev/null || printf '%%s\\n' %[1]s >> \"$home/.ssh/authorized_keys\"\n", quote(oneLine(key)))
		}
		fmt.Fprintf(&out, "chmod 0600 \"$home/.ssh/authorized_keys\"\nchown -R %s: \"$home/.ssh\"\n", name)
	}
	return out.String()
}

// kubeletArgument adds a line to /etc/default/kubelet. systemd reads that file as assignments of which the last one counts,
// so the line repeats what was there; kind's images have an argument there that must stay.
func kubeletArgument(s KubeletArgument) string {
	return fmt.Sprintf(`file=/etc/default/kubelet
argument=%[1]s
mkdir -p /etc/default
touch "$file"
was="$(sed -n 's/^KUBELET_EXTRA_ARGS=//p' "$file" | tail -n 1 | sed -e 's/^["'\'']//' -e 's/["'\'']$//')"
case " $was " in *" $argument "*) exit 0 ;; esac
# A file may lack its last line break.
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >> "$file"; fi
printf 'KUBELET_EXTRA_ARGS="%%s"\n' "${was:+$was }$argument" >> "$file"
`, quote("--"+s.Name+"="+s.Value))
}

// quote makes one word of sh.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
