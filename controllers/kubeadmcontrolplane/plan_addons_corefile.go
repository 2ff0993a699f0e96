// SPDX-License-Identifier: Apache-2.0

package kubeadmcontrolplane

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coredns/corefile-migration/migration"
	"github.com/coredns/corefile-migration/migration/corefile"
)

// migratedCorefile is a Corefile for a later version of CoreDNS: the same text, with its
// comments, when that version reads it as it is.
func migratedCorefile(from, to, text string) (next string, err error) {
	// The parser takes the text for well-formed, and indexes into what is not there.
	defer func() {
		if recover() != nil {
			next, err = "", errors.New("it is not well-formed")
		}
	}()
	if known := migration.ValidVersions(); !slices.Contains(known, from) || !slices.Contains(known, to) {
		return "", fmt.Errorf("only versions %s to %s are known here", known[0], known[len(known)-1])
	}
	parsed, err := corefile.New(text)
	if err != nil {
		return "", err
	}
	before := parsed.ToString()
	after, err := migration.Migrate(from, to, text, false)
	if err != nil {
		return "", err
	}
	if after == before {
		return text, nil
	}
	if countBlocks(text) != countBlocks(before) {
		return "", errors.New("it has blocks that would be lost, inside others or empty")
	}
	return after, nil
}

// countBlocks counts what is opened by a brace.
func countBlocks(text string) int {
	count := 0
	for line := range strings.Lines(text) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "#") {
				break
			}
			if word == "{" {
				count++
			}
		}
	}
	return count
}
