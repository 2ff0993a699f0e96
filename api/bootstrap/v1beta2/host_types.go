// SPDX-License-Identifier: Apache-2.0

package v1beta2

// The types in this file say what is done on a host besides kubeadm: files, users, time, disks.

// Encoding is how a file's content is encoded.
//
// +kubebuilder:validation:Enum=base64;gzip;gzip+base64
type Encoding string

// The encodings of a file's content.
const (
	Base64     Encoding = "base64"
	Gzip       Encoding = "gzip"
	GzipBase64 Encoding = "gzip+base64"
)

// FileContentFormat is whether a file's content is taken as it is.
//
// +kubebuilder:validation:Enum=Raw;Template
type FileContentFormat string

const (
	// FileContentFormatRaw: the content is taken as it is.
	FileContentFormatRaw FileContentFormat = "Raw"

	// FileContentFormatTemplate: the content is a Go template that is executed first.
	FileContentFormatTemplate FileContentFormat = "Template"
)

// File is a file to write on a host.
//
// +kubebuilder:validation:XValidation:rule="!has(self.content) || !has(self.contentFrom)",message="content and contentFrom exclude each other: keep the one that holds the content"
type File struct {
	// path of the file on the host, absolute. No two files may have the same.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`

	// owner of the file as user:group. root:root when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Owner string `json:"owner,omitempty"`

	// permissions of the file in octal, such as "0640". "0644" when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Permissions string `json:"permissions,omitempty"`

	// encoding of the content; it is decoded on the host. Not encoded when absent.
	// +optional
	Encoding Encoding `json:"encoding,omitempty"`

	// append true adds the content to what the file holds; it is overwritten otherwise.
	// +optional
	Append *bool `json:"append,omitempty"`

	// content of the file. Not together with contentFrom.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10240
	Content string `json:"content,omitempty"`

	// contentFrom is where the content is read from. Not together with content.
	// +optional
	ContentFrom FileSource `json:"contentFrom,omitempty,omitzero"`

	// contentFormat says whether the content is taken as it is (Raw, when absent) or executed as a Go template first
	// (Template), which can use .controlPlane.version.
	// +optional
	ContentFormat FileContentFormat `json:"contentFormat,omitempty"`
}

// FileSource is where the content of a file is read from.
type FileSource struct {
	// secret holds the content.
	// +required
	Secret SecretFileSource `json:"secret,omitempty,omitzero"`
}

// SecretFileSource is a key of a Secret.
type SecretFileSource struct {
	// name of the Secret, in the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Key string `json:"key,omitempty"`
}

// PasswdSource is where a user's hashed password is read from.
type PasswdSource struct {
	// secret holds the hash.
	// +required
	Secret SecretPasswdSource `json:"secret,omitempty,omitzero"`
}

// SecretPasswdSource is a key of a Secret.
type SecretPasswdSource struct {
	// name of the Secret, in the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Key string `json:"key,omitempty"`
}

// User is a user to add to a host.
//
// +kubebuilder:validation:XValidation:rule="!has(self.passwd) || !has(self.passwdFrom)",message="passwd and passwdFrom exclude each other: keep the one that holds the hash"
type User struct {
	// name to log in with.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// gecos is the comment field, usually the full name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Gecos string `json:"gecos,omitempty"`

	// groups, separated by commas, that the user is in besides the primary one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Groups string `json:"groups,omitempty"`

	// homeDir is the home directory.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	HomeDir string `json:"homeDir,omitempty"`

	// inactive true makes the account inactive.
	// +optional
	Inactive *bool `json:"inactive,omitempty"`

	// shell that is run at log-in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Shell string `json:"shell,omitempty"`

	// passwd is the hash of the password. Not together with passwdFrom.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Passwd string `json:"passwd,omitempty"`

	// passwdFrom is where the hash of the password is read from. Not together with passwd.
	// +optional
	PasswdFrom PasswdSource `json:"passwdFrom,omitempty,omitzero"`

	// primaryGroup of the user.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	PrimaryGroup string `json:"primaryGroup,omitempty"`

	// lockPassword true refuses log-in by password.
	// +optional
	LockPassword *bool `json:"lockPassword,omitempty"`

	// sudo is the user's rule in sudoers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Sudo string `json:"sudo,omitempty"`

	// sshAuthorizedKeys may log in over SSH.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	SSHAuthorizedKeys []string `json:"sshAuthorizedKeys,omitempty"`
}

// NTP sets up the synchronization of time.
//
// +kubebuilder:validation:MinProperties=1
type NTP struct {
	// servers to ask for the time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Servers []string `json:"servers,omitempty"`

	// enabled turns synchronization on or off.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
}

// DiskSetup partitions disks and makes file systems on them.
//
// +kubebuilder:validation:MinProperties=1
type DiskSetup struct {
	// partitions to make.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Partitions []Partition `json:"partitions,omitempty"`

	// filesystems to make.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Filesystems []Filesystem `json:"filesystems,omitempty"`
}

// Partition is how one disk is partitioned: by layout, as one partition or none, or by diskLayout, in detail.
//
// +kubebuilder:validation:XValidation:rule="[has(self.layout),has(self.diskLayout)].filter(x,x==true).size() == 1",message="give one of layout and diskLayout, not both and not neither"
type Partition struct {
	// device is the disk, such as /dev/sdb.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Device string `json:"device,omitempty"`

	// layout true makes one partition of the whole disk; false makes none. Not together with diskLayout.
	// +optional
	Layout *bool `json:"layout,omitempty"`

	// overwrite true skips the checks for what is on the disk already. Data can be lost.
	// +optional
	Overwrite *bool `json:"overwrite,omitempty"`

	// tableType of the disk: mbr (when absent) or gpt.
	// +optional
	// +kubebuilder:validation:Enum=mbr;gpt
	TableType string `json:"tableType,omitempty"`

	// diskLayout lists the partitions in their order. Not together with layout.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.map(p, p.percentage).sum() <= 100",message="the partitions of diskLayout take more than the whole disk: lower their percentage to at most 100 together"
	DiskLayout []PartitionSpec `json:"diskLayout,omitempty"`
}

// PartitionSpec is one partition of a disk.
type PartitionSpec struct {
	// percentage of the disk that the partition takes.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Percentage int32 `json:"percentage,omitempty"`

	// partitionType is Linux (when absent), LinuxSwap, LinuxRAID, LVM, Fat32, NTFS, LinuxExtended, or the GUID of a GPT
	// partition type.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=36
	// +kubebuilder:validation:XValidation:rule="self.matches('^(Linux|LinuxSwap|LinuxRAID|LVM|Fat32|NTFS|LinuxExtended|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$')",message="use Linux, LinuxSwap, LinuxRAID, LVM, Fat32, NTFS, LinuxExtended or the full GUID of a GPT partition type"
	PartitionType string `json:"partitionType,omitempty"`
}

// Filesystem is a file system to make.
type Filesystem struct {
	// device that the file system is made on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Device string `json:"device,omitempty"`

	// filesystem is the type, such as ext4.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Filesystem string `json:"filesystem,omitempty"`

	// label of the file system.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Label string `json:"label,omitempty"`

	// partition is a number, or one of auto, any and none, in cloud-init's sense.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Partition string `json:"partition,omitempty"`

	// overwrite true makes the file system even if there is one. Data can be lost.
	// +optional
	Overwrite *bool `json:"overwrite,omitempty"`

	// replaceFS is the type of file system that may be replaced.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ReplaceFS string `json:"replaceFS,omitempty"`

	// extraOpts are further arguments for the command that makes the file system.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	ExtraOpts []string `json:"extraOpts,omitempty"`
}

// MountPoints are the fields of a line of /etc/fstab: device, mount point, type, options and so on.
//
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=100
// +kubebuilder:validation:items:MinLength=1
// +kubebuilder:validation:items:MaxLength=512
type MountPoints []string
