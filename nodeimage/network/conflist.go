// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// conflistName sorts before what other programs usually put beside it: the container runtime takes the first.
const conflistName = "10-slipway.conflist"

// conflist renders the CNI configuration of this node: one veth pair a pod with a host route (ptp), addresses
// from the node's pod CIDRs (host-local) and host ports (portmap). mtu is in bytes; 0 leaves it to the plugin.
//
// ptp and not bridge: without a bridge the kernel routes every packet, so that a Service with its pods on one
// node works where br_netfilter cannot be turned on. The addresses in use are noted below /run because a pod does
// not outlive the boot and neither may its note.
func conflist(podCIDRs []netip.Prefix, mtu int) ([]byte, error) {
	type address struct {
		Subnet string `json:"subnet"`
	}
	type destination struct {
		Dst string `json:"dst"`
	}
	type ipam struct {
		Type    string        `json:"type"`
		DataDir string        `json:"dataDir"`
		Routes  []destination `json:"routes"`
		Ranges  [][]address   `json:"ranges"`
	}
	type plugin struct {
		Type         string          `json:"type"`
		IPMasq       *bool           `json:"ipMasq,omitempty"`
		MTU          int             `json:"mtu,omitempty"`
		IPAM         *ipam           `json:"ipam,omitempty"`
		Capabilities map[string]bool `json:"capabilities,omitempty"`
	}
	type list struct {
		CNIVersion string   `json:"cniVersion"`
		Name       string   `json:"name"`
		Plugins    []plugin `json:"plugins"`
	}
	addresses := &ipam{Type: "host-local", DataDir: "/run/cni-ipam-state"}
	for _, p := range podCIDRs {
		everything := "0.0.0.0/0"
		if p.Addr().Is6() {
			everything = "::/0"
		}
		addresses.Routes = append(addresses.Routes, destination{everything})
		addresses.Ranges = append(addresses.Ranges, []address{{p.String()}})
	}
	masqueradeByPlugin := false // the agent does it for all pods at once
	b, err := json.MarshalIndent(list{
		CNIVersion: "1.0.0",
		Name:       "slipway",
		Plugins: []plugin{
			{Type: "ptp", IPMasq: &masqueradeByPlugin, MTU: mtu, IPAM: addresses},
			{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render CNI configuration: %w", err)
	}
	return append(b, '\n'), nil
}

// writeConflist puts content into dir so that a reader sees the old file or the new one and never a part, and
// reports whether it had to. The file that is there already is left alone when it says the same.
func writeConflist(dir string, content []byte) (bool, error) {
	path := filepath.Join(dir, conflistName)
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, content) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read CNI configuration: %w", err)
	}
	// The name starts with a dot and does not end in .conflist: the container runtime must not load it.
	temp := filepath.Join(dir, "."+conflistName+".new")
	if err := writeSynced(temp, content); err != nil {
		return false, fmt.Errorf("write CNI configuration: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return false, fmt.Errorf("write CNI configuration: %w", err)
	}
	return true, nil
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
