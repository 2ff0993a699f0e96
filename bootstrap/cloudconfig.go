// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	bootstrapv1 "github.com/slipway-project/slipway/api/bootstrap/v1beta2"
)

// cloudConfig is what the text is written from: resolved and checked parts, and the rest of the user's spec.
type cloudConfig struct {
	spec    bootstrapv1.KubeadmConfigSpec
	files   []file
	users   []bootstrapv1.User // passwords resolved
	kubeadm string
}

// text writes the sections in a fixed order. Empty ones are left out.
func (c cloudConfig) text() (string, error) {
	var out strings.Builder
	out.WriteString("## template: jinja\n#cloud-config\n")
	section := func(name string, items ...string) {
		if len(items) == 0 {
			return
		}
		out.WriteString("\n" + name + ":\n")
		for _, item := range items {
			out.WriteString(escapeJinja(item))
		}
	}
	section("bootcmd", listItems(c.spec.BootCommands)...)
	files := make([]string, 0, len(c.files))
	for _, f := range c.files {
		files = append(files, f.item())
	}
	section("write_files", files...)
	section("runcmd", listItems(slices.Concat(c.spec.PreKubeadmCommands, []string{c.kubeadm}, c.spec.PostKubeadmCommands))...)
	section("ntp", ntpFields(c.spec.NTP)...)
	users := make([]string, 0, len(c.users))
	for _, user := range c.users {
		users = append(users, userItem(user))
	}
	section("users", users...)
	disks, err := diskFields(c.spec.DiskSetup.Partitions)
	if err != nil {
		return "", err
	}
	section("disk_setup", disks...)
	filesystems := make([]string, 0, len(c.spec.DiskSetup.Filesystems))
	for _, filesystem := range c.spec.DiskSetup.Filesystems {
		filesystems = append(filesystems, filesystemItem(filesystem))
	}
	section("fs_setup", filesystems...)
	mounts := make([]string, 0, len(c.spec.Mounts))
	for _, mount := range c.spec.Mounts {
		mounts = append(mounts, mountItem(mount))
	}
	section("mounts", mounts...)
	return out.String(), nil
}

// listItems are strings as items of a list, two spaces in.
func listItems(values []string) []string {
	items := make([]string, 0, len(values))
	for _, value := range values {
		items = append(items, "  - "+scalar(value, 2)+"\n")
	}
	return items
}

// fields collects "key: value" lines of one mapping that is an item of a list, two spaces in: the first line carries
// the dash.
type fields struct{ lines []string }

func (f *fields) raw(key, value string) {
	lead := "    "
	if len(f.lines) == 0 {
		lead = "  - "
	}
	f.lines = append(f.lines, lead+key+": "+value+"\n")
}

// text adds a string unless it is empty.
func (f *fields) text(key, value string) {
	if value != "" {
		f.raw(key, scalar(value, 4))
	}
}

// truth adds a boolean unless it is not set.
func (f *fields) truth(key string, value *bool) {
	if value != nil {
		f.raw(key, strconv.FormatBool(*value))
	}
}

// list adds a list of strings unless it is empty: one string a line, for between quotes on one line a Jinja expression
// with a "string" in it would be broken.
func (f *fields) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	f.lines = append(f.lines, "    "+key+":\n")
	for _, value := range values {
		f.lines = append(f.lines, "      - "+scalar(value, 6)+"\n")
	}
}

func (f *fields) String() string { return strings.Join(f.lines, "") }

// mountItem is a list in a list.
func mountItem(mount []string) string {
	if len(mount) == 0 {
		return "  - []\n"
	}
	var out strings.Builder
	lead := "  - - "
	for _, field := range mount {
		out.WriteString(lead + scalar(field, 4) + "\n")
		lead = "    - "
	}
	return out.String()
}

// item is the entry of write_files. Text with braces and nothing for Jinja in it is base64, and so reaches the machine
// whoever reads the user data (see the package comment).
func (f file) item() string {
	encoding, content := f.encoding, f.content
	if encoding == "" && opener(content) >= 0 && !dependsOnJinja(content) {
		encoding, content = bootstrapv1.Base64, base64.StdEncoding.EncodeToString([]byte(content))
	}
	var out fields
	out.text("path", f.path)
	out.text("owner", f.owner)
	out.text("permissions", f.permissions)
	out.text("encoding", string(encoding))
	if f.append {
		out.raw("append", "true")
	}
	out.raw("content", scalar(content, 4))
	return out.String()
}

func ntpFields(ntp bootstrapv1.NTP) []string {
	var out []string
	if ntp.Enabled != nil {
		out = append(out, "  enabled: "+strconv.FormatBool(*ntp.Enabled)+"\n")
	}
	if len(ntp.Servers) > 0 {
		out = append(out, "  servers:\n")
		for _, server := range ntp.Servers {
			out = append(out, "    - "+scalar(server, 4)+"\n")
		}
	}
	return out
}

// users are spec.users with the passwords out of their Secrets.
func users(in Input) ([]bootstrapv1.User, error) {
	out := slices.Clone(in.Spec.Users)
	for i, user := range out {
		if user.Name == "" {
			return nil, fmt.Errorf("spec.users[%d].name: it is missing", i)
		}
		reference := user.PasswdFrom.Secret
		if reference.Name == "" && reference.Key == "" {
			continue
		}
		if user.Passwd != "" {
			return nil, fmt.Errorf("spec.users[%d]: passwd and passwdFrom exclude each other; remove one", i)
		}
		key := SecretKey{reference.Name, reference.Key}
		password, found := in.Secrets[key]
		if !found {
			return nil, fmt.Errorf("spec.users[%d].passwdFrom.secret: Secret %s has no key %q, or is not there; create it in the namespace of this object", i, key.Name, key.Key)
		}
		// Files made with echo end in a line feed, which is never part of a password's hash.
		out[i].Passwd = strings.TrimRight(string(password), "\r\n")
	}
	return out, nil
}

func userItem(user bootstrapv1.User) string {
	var out fields
	out.text("name", user.Name)
	out.text("gecos", user.Gecos)
	out.text("groups", user.Groups)
	out.text("homedir", user.HomeDir)
	out.truth("inactive", user.Inactive)
	out.truth("lock_passwd", user.LockPassword)
	out.text("passwd", user.Passwd)
	out.text("primary_group", user.PrimaryGroup)
	out.text("shell", user.Shell)
	out.text("sudo", user.Sudo)
	out.list("ssh_authorized_keys", user.SSHAuthorizedKeys)
	return out.String()
}

// partitionTypes are the codes cloud-init takes for MBR and, padded by it to four digits, for GPT.
var partitionTypes = map[string]string{
	"Linux": "83", "LinuxSwap": "82", "LinuxRAID": "fd", "LVM": "8e", "Fat32": "0c", "NTFS": "07", "LinuxExtended": "85",
}

// diskFields are the entries of disk_setup: a mapping from device to layout, so that a device can come once only.
func diskFields(partitions []bootstrapv1.Partition) ([]string, error) {
	var out []string
	taken := map[string]int{}
	for i, partition := range partitions {
		field := fmt.Sprintf("spec.diskSetup.partitions[%d]", i)
		if earlier, found := taken[partition.Device]; found {
			return nil, fmt.Errorf("%s.device: %s is set up by partitions[%d] already; join the two", field, partition.Device, earlier)
		}
		taken[partition.Device] = i
		lines := "  " + quoted(partition.Device) + ":\n"
		if partition.TableType != "" {
			lines += "    table_type: " + quoted(partition.TableType) + "\n"
		}
		switch {
		case partition.Layout != nil && len(partition.DiskLayout) > 0:
			return nil, fmt.Errorf("%s: layout and diskLayout exclude each other; remove one", field)
		case partition.Layout != nil:
			lines += "    layout: " + strconv.FormatBool(*partition.Layout) + "\n"
		case len(partition.DiskLayout) > 0:
			layout, err := diskLayout(field, partition)
			if err != nil {
				return nil, err
			}
			lines += "    layout: " + layout + "\n"
		}
		if partition.Overwrite != nil {
			lines += "    overwrite: " + strconv.FormatBool(*partition.Overwrite) + "\n"
		}
		out = append(out, lines)
	}
	return out, nil
}

// diskLayout is a list of shares of the disk in percent, each alone or in a pair with the partition's type.
func diskLayout(field string, partition bootstrapv1.Partition) (string, error) {
	var items []string
	total := int32(0)
	for i, part := range partition.DiskLayout {
		where := fmt.Sprintf("%s.diskLayout[%d]", field, i)
		total += part.Percentage
		if part.Percentage < 1 || total > 100 {
			return "", fmt.Errorf("%s.percentage: %d brings the disk to %d percent; the parts are at least 1 and together at most 100", where, part.Percentage, total)
		}
		share := strconv.Itoa(int(part.Percentage))
		if part.PartitionType == "" {
			items = append(items, share)
			continue
		}
		code, isName := partitionTypes[part.PartitionType]
		switch {
		case !isName && partition.TableType != "gpt":
			return "", fmt.Errorf("%s.partitionType: %q is no name of a type, and only gpt knows identifiers; set tableType to gpt or use a name such as Linux", where, part.PartitionType)
		case !isName:
			code = part.PartitionType
		case part.PartitionType == "LinuxExtended" && partition.TableType == "gpt":
			return "", fmt.Errorf("%s.partitionType: gpt has no extended partitions; use Linux, or set tableType to mbr", where)
		}
		items = append(items, "["+share+", "+quoted(code)+"]")
	}
	return "[" + strings.Join(items, ", ") + "]", nil
}

func filesystemItem(filesystem bootstrapv1.Filesystem) string {
	var out fields
	out.text("device", filesystem.Device)
	out.text("filesystem", filesystem.Filesystem)
	out.text("label", filesystem.Label)
	out.text("partition", filesystem.Partition)
	out.truth("overwrite", filesystem.Overwrite)
	out.text("replace_fs", filesystem.ReplaceFS)
	out.list("extra_opts", filesystem.ExtraOpts)
	return out.String()
}
