// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// record is what is remembered of the engine that has a management cluster's containers. Without it another engine that
// happens to answer (Podman's socket while Docker is late, another DOCKER_HOST) would make everything look deleted.
type record struct {
	// ManagementCluster is the id whose containers these are: the record of another one, in a directory that was used
	// again, says nothing.
	ManagementCluster string `json:"managementCluster"`
	Host              string `json:"host"`
	Engine            string `json:"engine"` // Engine.Name
	// ID is Docker's own id of the engine; empty for Podman, which has none that lasts.
	ID string `json:"id,omitempty"`
}

// empty tells whether nothing is remembered.
func (r record) empty() bool { return r.Host == "" }

// readRecord reads a record; the zero value where there is none for this management cluster.
func readRecord(path, managementID string) (record, error) {
	if path == "" {
		return record{}, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read which container engine has the containers: %w", err)
	}
	var found record
	err = json.Unmarshal(content, &found)
	if err == nil && found.empty() {
		err = errors.New("it names none")
	}
	if err != nil {
		return record{}, fmt.Errorf("%s does not say which container engine has the containers (%w): remove it while that engine runs", path, err)
	}
	if found.ManagementCluster != managementID {
		return record{}, nil
	}
	return found, nil
}

// RecordedHost is the address of the engine that a record names, for whoever has to use the same one: images have to be
// where the machines are. It is empty where there is no record that can be read.
func RecordedHost(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var found record
	if err := json.Unmarshal(content, &found); err != nil {
		return ""
	}
	return found.Host
}

// of is the record of an engine.
func (c *Client) of(engine Engine) record {
	return record{ManagementCluster: c.id, Host: engine.Host, Engine: engine.Name, ID: engine.ID}
}

// same tells whether the engine that answers is the one remembered. One without an id of its own is known by its address.
func (r record) same(engine Engine) bool {
	if r.Engine != engine.Name || r.ID != engine.ID {
		return false
	}
	return r.ID != "" || r.Host == engine.Host
}

// remember writes down that the engine in use has what this management cluster makes. The caller holds c.making.
func (c *Client) remember() error {
	now := c.of(c.engine)
	if c.recordFile == "" || c.recorded == now {
		return nil
	}
	if err := writeRecord(c.recordFile, now); err != nil {
		return fmt.Errorf("remember the container engine: %w", err)
	}
	c.recorded = now
	return nil
}

// forget ends that, when the last of it is gone: the next may be made anywhere. The caller holds c.making.
func (c *Client) forget() error {
	if c.recordFile == "" {
		return nil
	}
	if err := os.Remove(c.recordFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the container engine: %w", err)
	}
	c.recorded = record{}
	return nil
}

// keepRecord brings the record up to date at the beginning: when the engine has moved to another address, and when what it
// has was made before there was a record.
func (c *Client) keepRecord(ctx context.Context) error {
	if c.recordFile == "" {
		return nil
	}
	if c.recorded.empty() {
		var found Network
		err := c.ask(ctx, c.bounds.read, func(ctx context.Context) (err error) {
			found, err = c.Network(ctx)
			return err
		})
		if err != nil || !found.Exists {
			return err
		}
	}
	c.making.Lock()
	defer c.making.Unlock()
	return c.remember()
}

// writeRecord replaces the file as a whole; only its owner can read it.
func writeRecord(path string, content record) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(append(text, '\n'))
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		_ = os.Remove(next.Name())
	}
	return err
}
