// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// userItem is an item of users. What may be a string, a list or a truth value stays a node.
type userItem struct {
	Name           string    `yaml:"name"`
	Gecos          string    `yaml:"gecos"`
	Home           string    `yaml:"homedir"`
	Shell          string    `yaml:"shell"`
	PrimaryGroup   string    `yaml:"primary_group"`
	Groups         yaml.Node `yaml:"groups"`
	Password       string    `yaml:"passwd"`
	HashedPassword string    `yaml:"hashed_passwd"`
	LockPassword   *bool     `yaml:"lock_passwd"`
	Inactive       yaml.Node `yaml:"inactive"`
	Sudo           yaml.Node `yaml:"sudo"`
	AuthorizedKeys []string  `yaml:"ssh_authorized_keys"`
}

var (
	userFields = []string{"name", "gecos", "homedir", "shell", "primary_group", "groups", "passwd", "hashed_passwd", "lock_passwd", "inactive", "sudo", "ssh_authorized_keys"}
	// accountName is what useradd of Debian accepts, with a little less freedom: it ends up in file names.
	accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)
)

func parseUsers(node *yaml.Node) ([]Step, error) {
	list, err := items(sectionUsers, node)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for i, item := range list {
		origin := fmt.Sprintf("%s[%d]", sectionUsers, i)
		if item.Kind == yaml.ScalarNode {
			if item.Value == "default" {
				steps = append(steps, Skipped{What: origin, Why: "a node image has no default user"})
				continue
			}
			return nil, fmt.Errorf("cloud-config line %d: %s is not a mapping: give at least a name", item.Line, origin)
		}
		for _, field := range unknownFields(item, userFields) {
			steps = append(steps, Skipped{What: origin + "." + field, Why: "slipway does not know this field of a user"})
		}
		var user userItem
		if err := item.Decode(&user); err != nil {
			return nil, fmt.Errorf("cloud-config line %d: %s: %s", item.Line, origin, yamlCause(err))
		}
		step, err := user.step()
		if err != nil {
			return nil, fmt.Errorf("cloud-config line %d: %s: %w", item.Line, origin, err)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func (u userItem) step() (Step, error) {
	step := CreateUser{
		Name: u.Name, Gecos: u.Gecos, Home: u.Home, Shell: u.Shell, PrimaryGroup: u.PrimaryGroup,
		PasswordHash: u.Password, LockPassword: u.LockPassword == nil || *u.LockPassword, AuthorizedKeys: u.AuthorizedKeys,
	}
	if u.HashedPassword != "" {
		step.PasswordHash = u.HashedPassword
	}
	var err error
	if step.Groups, err = stringOrList("groups", u.Groups, ","); err != nil {
		return nil, err
	}
	if step.Sudo, err = stringOrList("sudo", u.Sudo, ""); err != nil {
		return nil, err
	}
	step.Expired = u.Inactive.Kind == yaml.ScalarNode && (u.Inactive.Value == "true" || u.Inactive.Value == "True")
	for _, name := range append([]string{u.Name, u.PrimaryGroup}, step.Groups...) {
		if name != "" && !accountName.MatchString(name) {
			return nil, fmt.Errorf("%q is not a valid name of a user or group", name)
		}
	}
	if step.Name == "" {
		return nil, fmt.Errorf("it has no name")
	}
	for _, text := range append([]string{u.Gecos, u.Home, u.Shell, step.PasswordHash}, step.Sudo...) {
		if strings.ContainsAny(text, "\n\x00") {
			return nil, fmt.Errorf("a value of user %s has more than one line", u.Name)
		}
	}
	return step, nil
}

// stringOrList reads a field that may be a string (split at separator, if there is one), a list, or false for nothing.
func stringOrList(name string, node yaml.Node, separator string) ([]string, error) {
	switch {
	case node.Kind == 0 || node.Tag == "!!null" || node.Tag == "!!bool":
		return nil, nil
	case node.Kind == yaml.SequenceNode:
		return scalars(name, &node)
	case node.Kind == yaml.ScalarNode && separator == "":
		if node.Value == "" {
			return nil, nil
		}
		return []string{node.Value}, nil
	case node.Kind == yaml.ScalarNode:
		var values []string
		for value := range strings.SplitSeq(node.Value, separator) {
			if value = strings.TrimSpace(value); value != "" {
				values = append(values, value)
			}
		}
		return values, nil
	}
	return nil, fmt.Errorf("%s is neither a string nor a list", name)
}
