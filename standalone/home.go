// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// HomeVariable is the environment variable that names the data directory.
const HomeVariable = "SLIPWAY_HOME"

// DefaultHome returns $SLIPWAY_HOME, or ~/.slipway where that is unset.
func DefaultHome() (string, error) {
	if home := os.Getenv(HomeVariable); home != "" {
		return filepath.Abs(home)
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the data directory: %w; set %s", err, HomeVariable)
	}
	return filepath.Join(user, ".slipway"), nil
}

// dataDir is the absolute path of a data directory.
type dataDir string

func openDataDir(home string) (dataDir, error) {
	if home == "" {
		var err error
		if home, err = DefaultHome(); err != nil {
			return "", err
		}
	}
	absolute, err := filepath.Abs(home)
	if err != nil {
		return "", fmt.Errorf("find data directory %s: %w", home, err)
	}
	// The children's working directory is compared with this path to tell
	// whose they are; /proc shows the resolved one.
	if resolved, err := filepath.EvalSymlinks(absolute); err == nil {
		absolute = resolved
	}
	return dataDir(absolute), nil
}

func (d dataDir) path(elements ...string) string {
	return filepath.Join(append([]string{string(d)}, elements...)...)
}

func (d dataDir) lockFile() string   { return d.path("lock") }
func (d dataDir) stateFile() string  { return d.path("state.json") }
func (d dataDir) settings() string   { return d.path("settings.json") }
func (d dataDir) kubeconfig() string { return d.path("kubeconfig") }
func (d dataDir) encryption() string { return d.path("encryption.yaml") }
func (d dataDir) pki() string        { return d.path("pki") }
func (d dataDir) log(name string) string {
	return d.path("logs", name+".log")
}

// ownMarks are names of which one at least is in each data directory, from its
// first moment on.
var ownMarks = []string{"etcd", "lock", "settings.json"}

// refuseForeign refuses a directory that holds something and is no data directory:
// all that is in one is closed to other users, and goes when it is cleaned away.
func (d dataDir) refuseForeign() error {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explainWrite(fmt.Errorf("read data directory: %w", err))
	}
	var found string
	for _, entry := range entries {
		if slices.Contains(ownMarks, entry.Name()) {
			return nil
		}
		if entry.Name() == "lost+found" { // the file system's own, where one is mounted here
			continue
		}
		if !slices.Contains(ownFiles, temporaryOf(entry.Name())) { // such a file outlives a directory that was cleaned away
			found = entry.Name()
		}
	}
	if found == "" {
		return nil
	}
	return fmt.Errorf("%s is no data directory of slipway: it holds other things, such as %s: choose another with --home or %s, or empty it",
		string(d), found, HomeVariable)
}

// create makes the directories, readable by their owner only, and returns the
// data directory under its own name, free of links.
func (d dataDir) create() (dataDir, error) {
	if err := d.refuseForeign(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return "", explainWrite(fmt.Errorf("make data directory: %w", err))
	}
	resolved, err := filepath.EvalSymlinks(string(d))
	if err != nil {
		return "", fmt.Errorf("resolve data directory: %w", err)
	}
	d = dataDir(resolved)
	// etcd's first: it marks the directory as ours, should this end in between.
	for _, dir := range []string{string(d), d.path("etcd"), d.pki(), d.path("logs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", explainWrite(fmt.Errorf("make data directory: %w", err))
		}
		// A directory made by hand may be open to all; keys are in it.
		if err := os.Chmod(dir, 0o700); err != nil {
			return "", fmt.Errorf("close data directory to other users: %w", err)
		}
	}
	return d, nil
}

// ownFiles are the files of a data directory that are replaced as a whole, but for those in pki/.
var ownFiles = []string{"state.json", "settings.json", "kubeconfig", "encryption.yaml", authenticationFile, engineRecordFile}

// temporaryOf returns the name of the file whose new content was being written to
// one of the given name; empty where the name is not of that kind.
func temporaryOf(name string) string {
	hidden, of := strings.CutPrefix(name, ".")
	at := strings.LastIndexByte(hidden, '.')
	if !of || at < 1 || at == len(hidden)-1 || strings.Trim(hidden[at+1:], "0123456789") != "" {
		return ""
	}
	return hidden[:at]
}

// removeTemporaries removes what writeFile could not when its process was killed.
// The lock must be held: nobody is writing then.
func (d dataDir) removeTemporaries() error {
	for _, dir := range []string{string(d), d.pki()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("read data directory: %w", err)
		}
		for _, entry := range entries {
			of := temporaryOf(entry.Name())
			if of == "" || (dir != d.pki() && !slices.Contains(ownFiles, of)) {
				continue
			}
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return explainWrite(fmt.Errorf("remove what was written in part: %w", err))
			}
		}
	}
	return nil
}

// hasData says whether etcd has ever stored anything here.
func (d dataDir) hasData() bool {
	_, err := os.Stat(d.path("etcd", "member"))
	return err == nil
}

// minimumFree is what must be free on the file system of the data directory
// before a start, in bytes: etcd's write-ahead log is allocated 64 MiB at a
// time and two segments are kept ahead.
const minimumFree = 256 << 20

// checkSpace refuses a file system that is (nearly) full.
func (d dataDir) checkSpace(minimum uint64) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(string(d), &stat); err != nil {
		return fmt.Errorf("check free space of %s: %w", string(d), err)
	}
	free := stat.Bavail * uint64(stat.Bsize)
	if free < minimum {
		return fmt.Errorf("only %d MiB are free on the file system of %s and at least %d MiB are needed: free some space, or set %s to a directory with more",
			free>>20, string(d), minimum>>20, HomeVariable)
	}
	return nil
}

// explainWrite adds the next step to errors that the user can do something about.
func explainWrite(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: free some space, or set %s to a directory on another file system", err, HomeVariable)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: set %s to a directory that you may write to", err, HomeVariable)
	}
	return err
}

// writeFile replaces a file so that a crash at any moment leaves the old or the
// new content, never a part, and so that the new one survives a power cut.
func writeFile(path string, content []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	temporary, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return explainWrite(fmt.Errorf("write %s: %w", path, err))
	}
	defer func() {
		if err != nil {
			_ = temporary.Close()
			_ = os.Remove(temporary.Name())
			err = explainWrite(fmt.Errorf("write %s: %w", path, err))
		}
	}()
	if err = temporary.Chmod(mode); err != nil {
		return err
	}
	if _, err = temporary.Write(content); err != nil {
		return err
	}
	if err = temporary.Sync(); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	if err = os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Close() }()
	return handle.Sync()
}

const engineRecordFile = "container-engine.json"

// EngineRecord returns the path of the file in a data directory in which the controllers
// remember the container engine that has their containers; see containers.Options. home
// may be empty, see DefaultHome.
func EngineRecord(home string) (string, error) {
	dir, err := openDataDir(home)
	if err != nil {
		return "", err
	}
	return dir.path(engineRecordFile), nil
}

// settings is what a data directory keeps from one start to the next.
type settings struct {
	ListenAddress string `json:"listenAddress"`
	APIServerPort int    `json:"apiServerPort"`
	EtcdPort      int    `json:"etcdPort"`
	// KubernetesVersion and EtcdVersion are the newest that wrote the data.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	EtcdVersion       string `json:"etcdVersion,omitempty"`
	// ManagementClusterID is on everything that was ever made from here, and so is
	// needed to take that away when nothing runs any more.
	ManagementClusterID string `json:"managementClusterID,omitempty"`
}

// RecordedVersion returns the version of Kubernetes that wrote the data of a data
// directory, like v1.37.1; empty where none did yet. home may be empty, see
// DefaultHome. It fails on a directory that is in use for something else.
func RecordedVersion(home string) (string, error) {
	dir, err := openDataDir(home)
	if err != nil {
		return "", err
	}
	if err := dir.refuseForeign(); err != nil {
		return "", err
	}
	recorded, err := dir.readSettings()
	return recorded.KubernetesVersion, err
}

// readSettings returns the zero value where nothing was recorded yet.
func (d dataDir) readSettings() (settings, error) {
	var s settings
	err := readJSON(d.settings(), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("%w: remove the file to have the ports chosen again, and give the version of Kubernetes with --kubernetes-version", err)
	}
	return s, nil
}

func (d dataDir) writeSettings(s settings) error { return writeJSON(d.settings(), s) }

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeFile(path, append(content, '\n'), 0o600)
}
