// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"fmt"
	"strings"
)

// Step is one thing to do in the node, as data. The kinds are WriteFile, Command, CreateUser, KubeletArgument and Skipped.
type Step interface {
	// Title says in a few words what the step does. It holds no secrets.
	Title() string
	step()
}

// WriteFile is an item of write_files.
type WriteFile struct {
	Path    string // absolute
	Owner   string // "user" or "user:group"; "" leaves it to root
	Mode    uint32 // permission bits
	Content []byte // decoded
	Append  bool
}

// Command is an item of bootcmd or runcmd. Exactly one of Shell and Argv is set.
type Command struct {
	Origin string   // where it stands, as "runcmd[2]"
	Shell  string   // a line for sh
	Argv   []string // a program and its arguments
}

// CreateUser is an item of users. Users that exist keep what they have; keys, groups, password and sudo are set.
type CreateUser struct {
	Name, Gecos, Home, Shell, PrimaryGroup string
	Groups                                 []string
	PasswordHash                           string // as crypt(3) gives it; secret
	LockPassword                           bool
	Expired                                bool // the account cannot be used
	Sudo                                   []string
	AuthorizedKeys                         []string
}

// KubeletArgument adds one argument to the kubelet's command line through KUBELET_EXTRA_ARGS in /etc/default/kubelet,
// after those that are there. Done twice it changes nothing.
type KubeletArgument struct {
	Name, Value string // as "provider-id" and "docker:////x"; no blanks, no quotes
}

// Skipped is something that the cloud-config asks for and that is not done.
type Skipped struct {
	What string // as "disk_setup"
	Why  string
}

// Title implements Step.
func (s WriteFile) Title() string {
	verb := "write"
	if s.Append {
		verb = "append to"
	}
	return verb + " " + s.Path
}

// Title implements Step.
func (s Command) Title() string {
	line := s.Shell
	if line == "" {
		line = strings.Join(s.Argv, " ")
	}
	line, _, more := strings.Cut(strings.TrimSpace(Redact(line)), "\n")
	const longest = 100
	if runes := []rune(line); len(runes) > longest {
		line, more = string(runes[:longest]), true
	}
	if more {
		line += " ..."
	}
	return s.Origin + ": " + line
}

// Title implements Step.
func (s CreateUser) Title() string { return "create user " + s.Name }

// Title implements Step.
func (s KubeletArgument) Title() string {
	return fmt.Sprintf("give the kubelet --%s=%s", s.Name, s.Value)
}

// Title implements Step.
func (s Skipped) Title() string { return fmt.Sprintf("skipped %s: %s", s.What, s.Why) }

func (WriteFile) step()       {}
func (Command) step()         {}
func (CreateUser) step()      {}
func (KubeletArgument) step() {}
func (Skipped) step()         {}

// WithProviderID adds the step that makes the kubelet register its Node with this provider id. It comes after everything
// that writes files, which may replace /etc/default/kubelet, and before the first runcmd, which may start the kubelet. The
// list given is not changed.
func WithProviderID(steps []Step, providerID string) []Step {
	argument := KubeletArgument{Name: "provider-id", Value: providerID}
	at := len(steps)
	for i, step := range steps {
		if command, ok := step.(Command); ok && strings.HasPrefix(command.Origin, sectionRun) {
			at = i
			break
		}
	}
	result := make([]Step, 0, len(steps)+1)
	result = append(result, steps[:at]...)
	result = append(result, argument)
	return append(result, steps[at:]...)
}
