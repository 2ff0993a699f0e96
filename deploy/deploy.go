// SPDX-License-Identifier: Apache-2.0

// Package deploy owns what has to be installed in a management cluster before controllers can run there: the
// CustomResourceDefinitions. It hands them out and never talks to a server.
//
// The files under crds are generated from the types in module api by api/gen/run.sh; they are not edited by hand.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed crds/*.yaml
var crds embed.FS

// CRDs returns every CustomResourceDefinition, ordered by name of file, as values of the caller's own. The error is not
// nil only if the build embedded a file that is none.
func CRDs() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := fs.Glob(crds, "crds/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list embedded CRDs: %w", err)
	}
	definitions := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(files))
	for _, file := range files {
		text, err := crds.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read embedded %s: %w", file, err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, definition); err != nil {
			return nil, fmt.Errorf("parse embedded %s: %w", file, err)
		}
		if definition.Kind != "CustomResourceDefinition" || definition.Name == "" {
			return nil, fmt.Errorf("parse embedded %s: not a CustomResourceDefinition", file)
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}
