// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"fmt"
	"os"
	"path/filepath"
)

// Progress is told about the phases of a build: with done false when one begins
// (detail says what it works on) and when it goes on to something else, once with
// done true when it ends (detail says what came out). A phase that fails has no
// end; the error tells. It is called from one goroutine at a time.
type Progress func(phase string, done bool, detail string)

// Options are what a build is asked for.
type Options struct {
	// Version is the Kubernetes version, for instance "v1.37.1" (the leading v
	// may be left out). BuildNode and Binaries use it.
	Version string
	// SourceDir is the nodeimage folder of a checkout; empty: FindSource.
	SourceDir string
	// CacheDir holds binaries, base and bills of materials; empty: $SLIPWAY_CACHE,
	// else slipway in the user's cache directory.
	CacheDir string
	// Docker is the engine's address (unix:///..., tcp://...); empty: DOCKER_HOST,
	// else the usual sockets of Docker, then of Podman.
	Docker string
	// Progress is told about phases; nil: nobody is.
	Progress Progress
	// NoCache builds again what could be reused. Go's own build cache is kept.
	NoCache bool
	// Notice is told, in a sentence each, what images go without and what to do
	// about it; nil: nobody is.
	Notice func(text string)

	// renewals are the directories that NoCache has had made again; nil when images
	// are not built together (BuildAll).
	renewals map[string]bool
}

// Image is a built image.
type Image struct {
	// Reference is the name in the engine, for instance "slipway/node:v1.37.1".
	Reference string
	// ID is the engine's identifier, "sha256:<hex>".
	ID string
	// Size in bytes, as the engine counts it: all layers, unpacked.
	Size int64
	// SBOM is the path of the bill of materials (SPDX 2.3, JSON).
	SBOM string
	// Reused is true when nothing had changed and nothing was built.
	Reused bool
}

// cacheDir resolves CacheDir to an absolute path.
func (o Options) cacheDir() (string, error) {
	dir := o.CacheDir
	if dir == "" {
		dir = os.Getenv("SLIPWAY_CACHE")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find cache directory: %w; set SLIPWAY_CACHE to a directory", err)
		}
		dir = filepath.Join(user, "slipway")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return absolute, nil
}

// source resolves SourceDir.
func (o Options) source() (string, error) {
	if o.SourceDir == "" {
		return FindSource()
	}
	return filepath.Abs(o.SourceDir)
}

// again says whether a directory must be made again though it could be reused.
func (o Options) again(dir string) bool { return o.NoCache && !o.renewals[dir] }

// renewed notes that a directory has been made, for the images that come after.
func (o Options) renewed(dir string) {
	if o.renewals != nil {
		o.renewals[dir] = true
	}
}

func (o Options) notice(format string, values ...any) {
	if o.Notice != nil {
		o.Notice(fmt.Sprintf(format, values...))
	}
}

// phase reports that a phase begins and returns the function that reports its end.
func (o Options) phase(name, detail string) func(detail string) {
	if o.Progress == nil {
		return func(string) {}
	}
	o.Progress(name, false, detail)
	return func(detail string) { o.Progress(name, true, detail) }
}
