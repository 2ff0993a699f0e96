// SPDX-License-Identifier: Apache-2.0

package nodeimage

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyPrograms makes dir a small root file system in which some programs of
// root run: the programs, the shared libraries that they need, and plugin
// folders beside the libraries, with what those need.
func copyPrograms(root, dir string, programs, plugins []string) error {
	for _, sub := range []string{"usr/lib", "usr/lib64", "usr/sbin", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, merged := range []string{"lib", "lib64", "sbin", "bin"} {
		if err := os.Symlink("usr/"+merged, filepath.Join(dir, merged)); err != nil {
			return err
		}
	}
	c := programCopier{root: root, dir: dir, done: map[string]bool{}}
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return err
	}
	for _, found := range libraries {
		c.libraryDirs = append(c.libraryDirs, "usr/lib/"+filepath.Base(found))
	}
	c.libraryDirs = append(c.libraryDirs, "usr/lib", "usr/lib64")
	for _, program := range programs {
		if err := c.copy(program); err != nil {
			return err
		}
	}
	for _, plugin := range plugins {
		matches, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*", plugin, "*.so"))
		if err != nil {
			return err
		}
		for _, match := range matches {
			relative, err := filepath.Rel(root, match)
			if err != nil {
				return err
			}
			if err := c.copy(relative); err != nil {
				return err
			}
		}
	}
	return nil
}

// programCopier copies ELF files with what they need, each once.
type programCopier struct {
	root, dir   string
	libraryDirs []string
	done        map[string]bool
}

// copy copies the file at a path relative to the root. A link becomes the file
// that it names, because libraries are looked up by the link's name.
func (c *programCopier) copy(path string) error {
	if c.done[path] {
		return nil
	}
	c.done[path] = true
	if err := copyFile(filepath.Join(c.root, path), filepath.Join(c.dir, path)); err != nil {
		return err
	}
	file, err := elf.Open(filepath.Join(c.root, path))
	if err != nil {
		return fmt.Errorf("read program %s: %w", path, err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(segment.Open())
		if err != nil {
			return fmt.Errorf("read interpreter of %s: %w", path, err)
		}
		// "/lib64/ld-linux-x86-64.so.2\0": /lib64 is a link to usr/lib64.
		if err := c.copy("usr" + string(name[:len(name)-1])); err != nil {
			return err
		}
	}
	needed, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read libraries of %s: %w", path, err)
	}
	for _, name := range needed {
		found, err := c.findLibrary(name)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := c.copy(found); err != nil {
			return err
		}
	}
	return nil
}

func (c *programCopier) findLibrary(name string) (string, error) {
	for _, dir := range c.libraryDirs {
		if _, err := os.Stat(filepath.Join(c.root, dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("needs library %s, which is in none of %v", name, c.libraryDirs)
}

// copyFile copies a file with its mode, through links, making directories.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return target.Close()
}

// linkFile gives a file a second name, or copies it where that cannot be.
func linkFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return copyFile(from, to)
}
