// SPDX-License-Identifier: Apache-2.0

package cloudconfig

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The sections that are carried out.
const (
	sectionBoot  = "bootcmd"
	sectionFiles = "write_files"
	sectionUsers = "users"
	sectionRun   = "runcmd"
)

// order is cloud-init's own order of the sections that matter here.
var order = []string{sectionBoot, sectionFiles, "disk_setup", "fs_setup", "mounts", sectionUsers, "ntp", sectionRun}

// undoable says why sections are skipped that cannot be carried out in a container.
var undoable = map[string]string{
	"disk_setup":      "a container has no disks of its own; put data under /var, which is a volume",
	"fs_setup":        "a container has no disks of its own; put data under /var, which is a volume",
	"mounts":          "a container cannot mount the host's devices; use spec.extraMounts of the DockerMachine",
	"swap":            "a container uses the host's swap",
	"ntp":             "a container uses the host's clock",
	"timezone":        "a container keeps the time zone of its image",
	"packages":        "a node image has no package sources; build an image with the packages",
	"package_update":  "a node image has no package sources",
	"package_upgrade": "a node image has no package sources",
	"growpart":        "a container has no partitions",
	"resize_rootfs":   "a container has no partitions",
	"hostname":        "the container's name is the node's host name",
	"fqdn":            "the container's name is the node's host name",
	"power_state":     "the node's container is started and stopped from outside",
	"final_message":   "there is no console to write it to",
}

// maxContent bounds, in bytes, what a compressed file may grow to.
const maxContent = 16 << 20

// Parse turns a cloud-config into steps, in the order in which cloud-init would carry them out: bootcmd, write_files,
// users, files marked "defer", runcmd. Errors name the section and item, the cause and what to write instead; they hold no
// content.
func Parse(data []byte, metadata Metadata) ([]Step, error) {
	text, err := renderJinja(string(data), metadata)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(text); err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("cloud-config is not valid YAML: %s", yamlCause(err))
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("cloud-config line %d: the document is not a mapping of sections", root.Line)
	}
	sections := map[string]*yaml.Node{}
	var names []string
	for i := 0; i+1 < len(root.Content); i += 2 {
		name := root.Content[i].Value
		if sections[name] != nil {
			return nil, fmt.Errorf("cloud-config line %d: section %s is there twice: join them", root.Content[i].Line, name)
		}
		sections[name] = root.Content[i+1]
		names = append(names, name)
	}
	// Unknown sections first: they are told before anything is done.
	slices.SortStableFunc(names, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	var steps, deferred []Step
	for _, name := range names {
		if name == sectionRun {
			steps = append(steps, deferred...)
			deferred = nil
		}
		done, later, err := parseSection(name, sections[name])
		if err != nil {
			return nil, err
		}
		steps = append(steps, done...)
		deferred = append(deferred, later...)
	}
	return append(steps, deferred...), nil
}

// checkHeader accepts what cloud-init takes for a cloud-config.
func checkHeader(text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, jinjaHeader):
			continue
		case strings.HasPrefix(line, "#cloud-config"):
			return nil
		case strings.HasPrefix(line, "{") && strings.Contains(line, "ignition"):
			return errors.New("bootstrap data is Ignition, which the Docker provider does not carry out: set format: cloud-config in the KubeadmConfig")
		}
		return errors.New("bootstrap data is not a cloud-config: its first line is not #cloud-config")
	}
	return errors.New("bootstrap data is empty")
}

func parseSection(name string, node *yaml.Node) (now, later []Step, err error) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil, nil, nil
	}
	switch name {
	case sectionBoot, sectionRun:
		now, err = parseCommands(name, node)
		return now, nil, err
	case sectionFiles:
		return parseFiles(node)
	case sectionUsers:
		now, err = parseUsers(node)
		return now, nil, err
	}
	why := undoable[name]
	if why == "" {
		why = "slipway does not know this section"
	}
	return []Step{Skipped{What: name, Why: why}}, nil, nil
}

func items(name string, node *yaml.Node) ([]*yaml.Node, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("cloud-config line %d: %s is not a list", node.Line, name)
	}
	return node.Content, nil
}

// parseCommands reads bootcmd and runcmd: a string is a line for the shell, a list is a program with its arguments.
func parseCommands(name string, node *yaml.Node) ([]Step, error) {
	list, err := items(name, node)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for i, item := range list {
		origin := fmt.Sprintf("%s[%d]", name, i)
		switch {
		case item.Kind == yaml.ScalarNode && item.Tag == "!!null":
			continue
		case item.Kind == yaml.ScalarNode:
			steps = append(steps, Command{Origin: origin, Shell: item.Value})
		case item.Kind == yaml.SequenceNode:
			argv, err := scalars(origin, item)
			if err != nil {
				return nil, err
			}
			if len(argv) == 0 {
				return nil, fmt.Errorf("cloud-config line %d: %s is an empty list: name a program", item.Line, origin)
			}
			steps = append(steps, Command{Origin: origin, Argv: argv})
		default:
			return nil, fmt.Errorf("cloud-config line %d: %s is neither a string nor a list of strings (a string with \": \" in it needs quotes)", item.Line, origin)
		}
	}
	return steps, nil
}

// scalars reads a list of plain values as they are written, so that 0640 stays 0640.
func scalars(name string, node *yaml.Node) ([]string, error) {
	var values []string
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("cloud-config line %d: %s holds something that is not a plain value", item.Line, name)
		}
		values = append(values, item.Value)
	}
	return values, nil
}

// fileItem is an item of write_files. Permissions stays a node, because 0640 without quotes is a number to YAML.
type fileItem struct {
	Path        string    `yaml:"path"`
	Owner       string    `yaml:"owner"`
	Permissions yaml.Node `yaml:"permissions"`
	Encoding    string    `yaml:"encoding"`
	Content     string    `yaml:"content"`
	Append      bool      `yaml:"append"`
	Defer       bool      `yaml:"defer"`
}

var fileFields = []string{"path", "owner", "permissions", "encoding", "content", "append", "defer"}

func parseFiles(node *yaml.Node) (now, later []Step, err error) {
	list, err := items(sectionFiles, node)
	if err != nil {
		return nil, nil, err
	}
	for i, item := range list {
		origin := fmt.Sprintf("%s[%d]", sectionFiles, i)
		if unknown := unknownFields(item, fileFields); len(unknown) > 0 {
			return nil, nil, fmt.Errorf("cloud-config line %d: %s: %s is not supported: give the file's content itself", item.Line, origin, strings.Join(unknown, ", "))
		}
		var file fileItem
		if err := item.Decode(&file); err != nil {
			return nil, nil, fmt.Errorf("cloud-config line %d: %s: %s", item.Line, origin, yamlCause(err))
		}
		step, err := file.step()
		if err != nil {
			return nil, nil, fmt.Errorf("cloud-config line %d: %s: %w", item.Line, origin, err)
		}
		if file.Defer {
			later = append(later, step)
		} else {
			now = append(now, step)
		}
	}
	return now, later, nil
}

func (f fileItem) step() (Step, error) {
	if !path.IsAbs(f.Path) || strings.ContainsAny(f.Path, "\x00\n") {
		return nil, fmt.Errorf("path %q is not an absolute path", f.Path)
	}
	if strings.HasSuffix(f.Path, "/") {
		return nil, fmt.Errorf("path %q names a directory", f.Path)
	}
	if strings.ContainsAny(f.Owner, " \t\n") || strings.HasPrefix(f.Owner, "-") {
		return nil, fmt.Errorf("owner %q is not user or user:group", f.Owner)
	}
	mode, err := permissions(f.Permissions)
	if err != nil {
		return nil, err
	}
	content, err := decode(f.Encoding, f.Content)
	if err != nil {
		return nil, fmt.Errorf("content of %s: %w", f.Path, err)
	}
	return WriteFile{Path: path.Clean(f.Path), Owner: f.Owner, Mode: mode, Content: content, Append: f.Append}, nil
}

// permissions reads "0640", 0640 (to YAML an octal number) and "640" alike; 0644 when there are none.
func permissions(node yaml.Node) (uint32, error) {
	if node.Kind == 0 || node.Tag == "!!null" || node.Value == "" {
		return 0o644, nil
	}
	base := 8
	if node.Tag == "!!int" && !strings.HasPrefix(node.Value, "0") {
		base = 10 // as cloud-init: a number that YAML does not read as octal is taken for what it is
	}
	mode, err := strconv.ParseUint(strings.TrimPrefix(node.Value, "0o"), base, 32)
	if err != nil || mode > 0o7777 {
		return 0, fmt.Errorf("permissions %q are not an octal number like \"0640\"", node.Value)
	}
	return uint32(mode), nil
}

// decode undoes the encodings that cloud-init knows, under all their names.
func decode(encoding, content string) ([]byte, error) {
	raw := []byte(content)
	var unpack, decode bool
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "text/plain", "plain":
	case "b64", "base64":
		decode = true
	case "gz", "gzip":
		unpack = true
	case "gz+b64", "gz+base64", "gzip+b64", "gzip+base64":
		decode, unpack = true, true
	default:
		return nil, fmt.Errorf("encoding %q is not one of base64, gzip, gzip+base64", encoding)
	}
	if decode {
		clean := strings.Join(strings.Fields(content), "")
		var err error
		if raw, err = base64.StdEncoding.DecodeString(clean); err != nil {
			return nil, fmt.Errorf("it is not base64: %w", err)
		}
	}
	if !unpack {
		return raw, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("it is not gzip: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("it is not gzip: %w", err)
	}
	if len(plain) > maxContent {
		return nil, fmt.Errorf("it unpacks to more than %d MiB", maxContent>>20)
	}
	return plain, nil
}

// unknownFields lists the keys of a mapping that are not among the known ones.
func unknownFields(node *yaml.Node, known []string) []string {
	var unknown []string
	if node.Kind == yaml.MappingNode {
		for i := 0; i < len(node.Content); i += 2 {
			if !slices.Contains(known, node.Content[i].Value) {
				unknown = append(unknown, node.Content[i].Value)
			}
		}
	}
	return unknown
}

// yamlCause is the decoder's message without the values that it quotes, which may be secret.
func yamlCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var kept []string
	for part := range strings.Lines(text) {
		if before, after, found := strings.Cut(part, "`"); found {
			_, tail, _ := strings.Cut(after, "`")
			part = before + "a value" + tail
		}
		kept = append(kept, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(part), "unmarshal errors:")))
	}
	return strings.TrimSpace(strings.Join(kept, " "))
}
