// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	controlplanev1 "github.com/slipway-project/slipway/api/controlplane/v1beta2"
	clusterv1 "github.com/slipway-project/slipway/api/core/v1beta2"
	"github.com/slipway-project/slipway/conditions"
	"github.com/slipway-project/slipway/contract"
	"github.com/slipway-project/slipway/plan"
	"github.com/slipway-project/slipway/providers/docker/containers"
)

// upgradeRequest is what slipway upgrade cluster is asked for.
type upgradeRequest struct {
	// Version is checked: v1.37.1.
	Version string
	// Image is the node image of all new templates; empty: that of the old ones, with the
	// new version as its tag.
	Image string
	// ControlPlaneTemplate and WorkersTemplate name templates of the user's own.
	ControlPlaneTemplate, WorkersTemplate string
	ControlPlaneOnly                      bool
}

// upgrade is what has to be written for an upgrade, the control plane first.
type upgrade struct {
	ControlPlane upgradeEdit
	Workers      []upgradeEdit
	// Notes say what is left as it is, and why.
	Notes []string
}

// upgradeEdit is the change of one object that makes machines.
type upgradeEdit struct {
	Kind            schema.GroupVersionKind
	Namespace, Name string
	// From is the version that it has, To the one that it gets.
	From, To string
	// Ref is the reference to its machine template as it is, OldTemplate the name in it and
	// NewTemplate the one to come, which may be the same.
	Ref                      map[string]any
	OldTemplate, NewTemplate string
	// Template is to be made first; nil where it is there.
	Template *unstructured.Unstructured
	// Image is the node image of the new machines; empty where it is not known.
	Image string
	// ClientSide: kubectl apply without --server-side wrote the object.
	ClientSide bool

	versionPath, refPath []string
}

// needed tells that something is to be written.
func (e upgradeEdit) needed() bool { return e.From != e.To || e.OldTemplate != e.NewTemplate }

// title names the object.
func (e upgradeEdit) title() string { return fmt.Sprintf("%s %s/%s", e.Kind.Kind, e.Namespace, e.Name) }

// patch is the change as a merge patch.
func (e upgradeEdit) patch() map[string]any {
	body := map[string]any{}
	_ = unstructured.SetNestedField(body, e.To, e.versionPath...) // into an empty map it cannot fail
	if e.OldTemplate != e.NewTemplate {
		_ = unstructured.SetNestedField(body, e.NewTemplate, append(slices.Clone(e.refPath), "name")...)
	}
	return body
}

// manifest are the fields that change, to apply by hand.
func (e upgradeEdit) manifest() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: e.patch()}
	if e.OldTemplate != e.NewTemplate {
		reference := maps.Clone(e.Ref)
		reference["name"] = e.NewTemplate
		_ = unstructured.SetNestedMap(object.Object, reference, e.refPath...)
	}
	object.SetGroupVersionKind(e.Kind)
	object.SetNamespace(e.Namespace)
	object.SetName(e.Name)
	return object
}

// templateReader reads a template; nil where there is none of that name.
type templateReader func(kind schema.GroupKind, name string) (*unstructured.Unstructured, error)

// edits are what has to be written for the upgrade of a family, or why it cannot be.
func (r upgradeRequest) edits(f family, read templateReader) (upgrade, error) {
	var u upgrade
	if err := r.refuse(f); err != nil {
		return u, err
	}
	edit, err := controlPlaneEdit(f.ControlPlane, r.Version)
	if err != nil {
		return u, err
	}
	note, err := r.template(&edit, f.Cluster, r.ControlPlaneTemplate, "--control-plane-template", read)
	if err == nil {
		err = edit.refuseImage()
	}
	if err != nil {
		return u, err
	}
	u.ControlPlane = edit
	u.note(note)
	if r.ControlPlaneOnly {
		return u, nil
	}
	for _, deployment := range f.Deployments {
		if deployment.DeletionTimestamp != nil {
			u.note(fmt.Sprintf("MachineDeployment %s is being deleted and stays as it is.", deployment.Name))
			continue
		}
		if deployment.Spec.Template.Spec.Version == "" {
			u.note(fmt.Sprintf("MachineDeployment %s names no version and stays as it is.", deployment.Name))
			continue
		}
		edit := deploymentEdit(deployment, r.Version)
		if err := r.refuseWorkers(deployment, edit); err != nil {
			return u, err
		}
		note, err := r.template(&edit, f.Cluster, r.WorkersTemplate, "--workers-template", read)
		if err == nil {
			err = edit.refuseImage()
		}
		if err != nil {
			return u, err
		}
		u.Workers = append(u.Workers, edit)
		u.note(note)
	}
	for _, set := range f.Sets {
		if metav1.GetControllerOf(&set) == nil && set.Spec.Template.Spec.Version != r.Version {
			u.note(fmt.Sprintf("MachineSet %s belongs to no MachineDeployment and stays as it is: a MachineSet replaces no machines.", set.Name))
		}
	}
	return u, nil
}

func (u *upgrade) note(text string) {
	if text != "" {
		u.Notes = append(u.Notes, text)
	}
}

// all are the edits in order.
func (u upgrade) all() []upgradeEdit { return append([]upgradeEdit{u.ControlPlane}, u.Workers...) }

// objects are the templates and edits in the order in which they are to be applied.
func (u upgrade) objects() []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	made := map[string]bool{}
	for _, edit := range u.all() {
		if edit.Template != nil && !made[edit.NewTemplate] {
			made[edit.NewTemplate] = true
			list = append(list, edit.Template)
		}
		if edit.needed() {
			list = append(list, edit.manifest())
		}
	}
	return list
}

// controlPlaneEdit finds version and template in the object of a control plane.
func controlPlaneEdit(object *contract.Object, to string) (upgradeEdit, error) {
	edit := upgradeEdit{
		Kind: object.GroupVersionKind(), Namespace: object.GetNamespace(), Name: object.GetName(),
		From: object.DesiredVersion(), To: to, versionPath: []string{"spec", "version"}, ClientSide: appliedByClient(object.GetManagedFields()),
	}
	if edit.From == "" {
		return edit, fmt.Errorf("%s has no spec.version, so its provider cannot be asked for an upgrade in this way; see the provider's own documentation", edit.title())
	}
	// The second is where the contract v1beta1 has it.
	for _, path := range [][]string{{"spec", "machineTemplate", "spec", "infrastructureRef"}, {"spec", "machineTemplate", "infrastructureRef"}} {
		reference, found, err := unstructured.NestedMap(object.Object, path...)
		if err == nil && found {
			edit.Ref, edit.refPath = reference, path
			edit.OldTemplate, _ = reference["name"].(string)
			break
		}
	}
	edit.NewTemplate = edit.OldTemplate
	return edit, nil
}

func deploymentEdit(deployment clusterv1.MachineDeployment, to string) upgradeEdit {
	reference := deployment.Spec.Template.Spec.InfrastructureRef
	return upgradeEdit{
		Kind: machineDeploymentKind, Namespace: deployment.Namespace, Name: deployment.Name,
		From: deployment.Spec.Template.Spec.Version, To: to, ClientSide: appliedByClient(deployment.ManagedFields),
		Ref:         map[string]any{"apiGroup": reference.APIGroup, "kind": reference.Kind, "name": reference.Name},
		OldTemplate: reference.Name, NewTemplate: reference.Name,
		versionPath: []string{"spec", "template", "spec", "version"}, refPath: []string{"spec", "template", "spec", "infrastructureRef"},
	}
}

// template decides on the machine template of an edit: the one that the user named, the
// old one where it names no image, or a copy of it with the image of the new version.
func (r upgradeRequest) template(e *upgradeEdit, cluster *clusterv1.Cluster, named, flag string, read templateReader) (note string, err error) {
	if e.Ref == nil {
		if named != "" {
			return "", usage("%s: %s refers to no machine template", flag, e.title())
		}
		return fmt.Sprintf("%s refers to no machine template: only its version is changed.", e.title()), nil
	}
	kind := refKind(e.Ref)
	if named != "" {
		template, err := read(kind, named)
		if err != nil {
			return "", err
		}
		if template == nil {
			return "", fmt.Errorf("%s: there is no %s %s/%s; make it first, or leave the flag out", flag, kind.Kind, e.Namespace, named)
		}
		e.NewTemplate, e.Image = named, nodeImageOf(template, r.Version)
		return "", nil
	}
	old, err := read(kind, e.OldTemplate)
	if err != nil {
		return "", err
	}
	if old == nil {
		return "", fmt.Errorf("%s refers to %s %s, which does not exist; correct the reference, or name a template with %s", e.title(), kind.Kind, e.OldTemplate, flag)
	}
	image, _, _ := unstructured.NestedString(old.Object, imagePath...)
	isDocker := kind == dockerMachineTemplateKind.GroupKind()
	switch {
	case !isDocker && r.Image != "":
		return "", usage("--image: of a %s it is not known where it names an image; make a template, and name it with %s", kind.Kind, flag)
	case !isDocker:
		return fmt.Sprintf("%s keeps %s %s: of this kind it is not known where it names an image, and only the version is changed. If the template names an image of a version, make another one and name it with %s.",
			e.title(), kind.Kind, e.OldTemplate, flag), nil
	case image == "" && r.Image == "":
		e.Image = nodeImageOf(old, r.Version)
		return fmt.Sprintf("%s keeps DockerMachineTemplate %s, which names no image: machines are made of that of their version.", e.title(), e.OldTemplate), nil
	}
	return "", r.copyTemplate(e, cluster, old, image, flag, read)
}

// imagePath is where a DockerMachineTemplate names the node image.
var imagePath = []string{"spec", "template", "spec", "customImage"}

func refKind(reference map[string]any) schema.GroupKind {
	kind, _ := reference["kind"].(string)
	group, _ := reference["apiGroup"].(string)
	if group == "" {
		apiVersion, _ := reference["apiVersion"].(string)
		group, _, _ = strings.Cut(apiVersion, "/")
	}
	return schema.GroupKind{Group: group, Kind: kind}
}

// nodeImageOf is the image that machines of a template are made of; empty where that is
// not known.
func nodeImageOf(template *unstructured.Unstructured, version string) string {
	if template.GroupVersionKind().GroupKind() != dockerMachineTemplateKind.GroupKind() {
		return ""
	}
	if image, _, _ := unstructured.NestedString(template.Object, imagePath...); image != "" {
		return image
	}
	return containers.NodeImage(version)
}

// copyTemplate makes the template of the new version out of the old one. The same upgrade
// makes the same template: one that is there with the same content is used.
func (r upgradeRequest) copyTemplate(e *upgradeEdit, cluster *clusterv1.Cluster, old *unstructured.Unstructured, image, flag string, read templateReader) error {
	wanted := r.Image
	if wanted == "" {
		var err error
		if wanted, err = imageOfVersion(image, e.From, r.Version); err != nil {
			return fmt.Errorf("%s %s: customImage %q: %w; name the image of %s with --image, or a template with %s", old.GetKind(), old.GetName(), image, err, r.Version, flag)
		}
	}
	e.Image = wanted
	if wanted == image {
		return nil
	}
	made := templateCopy(old, cluster, templateOfVersion(old.GetName(), r.Version))
	if err := unstructured.SetNestedField(made.Object, wanted, imagePath...); err != nil {
		return fmt.Errorf("%s %s: %w", old.GetKind(), old.GetName(), err)
	}
	e.NewTemplate = made.GetName()
	there, err := read(made.GroupVersionKind().GroupKind(), made.GetName())
	if err != nil {
		return err
	}
	if there == nil {
		e.Template = made
		return nil
	}
	if there.GetDeletionTimestamp() != nil || !cmp.Equal(there.Object["spec"], made.Object["spec"]) {
		return fmt.Errorf("%s %s/%s is there already and is not %s with image %s; delete it if nothing needs it, or name a template with %s",
			made.GetKind(), made.GetNamespace(), made.GetName(), old.GetName(), wanted, flag)
	}
	return nil
}

// templateCopy is a template under another name, owned by the Cluster from the start, so
// that it goes with it.
func templateCopy(old *unstructured.Unstructured, cluster *clusterv1.Cluster, name string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: map[string]any{}}
	made.SetGroupVersionKind(old.GroupVersionKind())
	made.SetNamespace(old.GetNamespace())
	made.SetName(name)
	made.SetLabels(old.GetLabels())
	annotations := old.GetAnnotations()
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	made.SetAnnotations(annotations)
	made.SetOwnerReferences([]metav1.OwnerReference{*plan.OwnerReference(clusterKind, cluster, false)})
	if spec, found, err := unstructured.NestedMap(old.Object, "spec"); err == nil && found {
		made.Object["spec"] = spec
	}
	return made
}

var (
	versionInTag  = regexp.MustCompile(`v?[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?(_[0-9A-Za-z.]+)?`)
	versionInName = regexp.MustCompile(`v?[0-9]+-[0-9]+-[0-9]+(-(alpha|beta|rc)-[0-9]+)?`)
)

// imageOfVersion is an image with another version of Kubernetes in its tag.
func imageOfVersion(image, from, to string) (string, error) {
	if strings.Contains(image, "@") {
		return "", errors.New("the image is fixed by a digest, and that of the new version is not known")
	}
	start := strings.LastIndex(image, "/") + 1
	colon := strings.Index(image[start:], ":")
	if colon < 0 {
		return "", errors.New("the image has no tag that says a version")
	}
	start += colon + 1
	found := versionInTag.FindStringIndex(image[start:])
	if found == nil {
		return "", errors.New("the tag says no version")
	}
	said := "v" + strings.TrimPrefix(strings.ReplaceAll(image[start+found[0]:start+found[1]], "_", "+"), "v")
	if said != from && said != to {
		return "", fmt.Errorf("the tag says %s, which is not the version of Kubernetes, %s", said, from)
	}
	tag := strings.ReplaceAll(to, "+", "_")
	if image[start+found[0]] != 'v' {
		tag = strings.TrimPrefix(tag, "v")
	}
	return image[:start+found[0]] + tag + image[start+found[1]:], nil
}

// refuseImage refuses an image of another version, where the name of images is known to
// tell it.
func (e upgradeEdit) refuseImage() error {
	repository, tag, _ := strings.Cut(e.Image, ":")
	tag, _, _ = strings.Cut(tag, "@")
	if repository != containers.NodeRepository && repository != "kindest/node" {
		return nil
	}
	if said := versionInTag.FindString(tag); said == "" || strings.ReplaceAll(said, "_", "+") == e.To {
		return nil
	}
	return fmt.Errorf("%s would get image %s with version %s, and its machines would not start; name an image or a template of %s", e.title(), e.Image, e.To, e.To)
}

// templateOfVersion is the name of a template for another version: the version in the
// name is replaced, or the new one put behind it.
func templateOfVersion(name, to string) string {
	matches := versionInName.FindAllStringIndex(name, -1)
	if len(matches) == 0 {
		return name + "-" + nameOfVersion(to)
	}
	last := matches[len(matches)-1]
	return name[:last[0]] + nameOfVersion(to) + name[last[1]:]
}

// refuse says why the upgrade of a cluster cannot begin.
func (r upgradeRequest) refuse(f family) error {
	place := inNamespace(f.Cluster.Namespace)
	title := fmt.Sprintf("Cluster %s/%s", f.Cluster.Namespace, f.Cluster.Name)
	switch {
	case f.Cluster.DeletionTimestamp != nil:
		return fmt.Errorf("%s is being deleted; it cannot be upgraded any more", title)
	case f.Cluster.Spec.Topology.IsDefined():
		return fmt.Errorf("%s is described by a ClusterClass, which makes its templates; set the version there: kubectl patch cluster %s%s --type merge -p '{\"spec\":{\"topology\":{\"version\":\"%s\"}}}'",
			title, f.Cluster.Name, place, r.Version)
	case !f.Cluster.Spec.ControlPlaneRef.IsDefined():
		return fmt.Errorf("%s refers to no control plane (spec.controlPlaneRef); there is nothing to upgrade", title)
	case f.ControlPlane == nil:
		return fmt.Errorf("%s refers to %s %s, which does not exist; make it, or correct spec.controlPlaneRef", title, f.Cluster.Spec.ControlPlaneRef.Kind, f.Cluster.Spec.ControlPlaneRef.Name)
	case f.ControlPlane.GetDeletionTimestamp() != nil:
		return fmt.Errorf("%s of %s is being deleted; it cannot be upgraded any more", f.controlPlaneTitle(), title)
	}
	if why, resume := pausedBy(f.ControlPlane.Unstructured, f.Cluster); why != "" {
		return fmt.Errorf("%s is paused by %s, and nothing would come of an upgrade; resume it first with: %s", f.controlPlaneTitle(), why, resume)
	}
	from := f.ControlPlane.DesiredVersion()
	if from == "" || from == r.Version {
		return nil
	}
	if err := refuseStep(f.controlPlaneTitle(), from, r.Version); err != nil {
		return err
	}
	return f.refuseUnsettled(from)
}

func (f *family) controlPlaneTitle() string {
	return fmt.Sprintf("%s %s/%s", f.ControlPlane.GetKind(), f.ControlPlane.GetNamespace(), f.ControlPlane.GetName())
}

// refuseUnsettled says why a control plane must settle before it can be upgraded.
func (f *family) refuseUnsettled(from string) error {
	why := fmt.Sprintf("slipway why %s/%s%s", strings.ToLower(f.ControlPlane.GetKind()), f.ControlPlane.GetName(), inNamespace(f.ControlPlane.GetNamespace()))
	list := f.controlPlaneMachines()
	other := 0
	for _, machine := range list {
		if machine.Spec.Version != from {
			other++
		}
	}
	if other > 0 {
		return fmt.Errorf("%s is on its way to %s, with %d of %s not there yet; wait until that is done, see: %s", f.controlPlaneTitle(), from, other, plural(len(list), "machine"), why)
	}
	all := conditionsOf(f.ControlPlane)
	if conditions.Find(all, clusterv1.AvailableCondition) == nil {
		if f.ControlPlane.GetKind() != kubeadmControlPlaneKind.Kind {
			return nil
		}
		return fmt.Errorf("%s has not told yet how it is; wait until it is Available, see: %s", f.controlPlaneTitle(), why)
	}
	for _, name := range []string{clusterv1.AvailableCondition, controlplanev1.EtcdClusterHealthyCondition, controlplanev1.ControlPlaneComponentsHealthyCondition} {
		found := conditions.Find(all, name)
		if found == nil || found.Status == metav1.ConditionTrue || (found.Status == metav1.ConditionUnknown && name != clusterv1.AvailableCondition) {
			continue
		}
		message := found.Message
		if message == "" {
			message = found.Reason
		}
		return fmt.Errorf("%s is not healthy (%s is %s: %s); an upgrade would not go on. Mend that first, see: %s", f.controlPlaneTitle(), name, found.Status, oneLine(message), why)
	}
	return nil
}

// refuseStep refuses a downgrade, and a step of more than one minor version.
func refuseStep(title, from, to string) error {
	have, err := version.ParseSemantic(from)
	if err != nil {
		return fmt.Errorf("%s has version %q, which is not a version of Kubernetes; correct it first", title, from)
	}
	want, err := version.ParseSemantic(to)
	if err != nil {
		return usage("--to: %q is not a version of Kubernetes; write all three numbers, such as %s", to, defaultKubernetesVersion)
	}
	switch {
	case want.LessThan(have):
		return fmt.Errorf("%s is at %s, and %s is older: Kubernetes cannot go back; choose a version from %s on", title, from, to, from)
	case want.Major() != have.Major():
		return fmt.Errorf("%s is at %s, and %s is of another major version, to which there is no way; choose one of v%d.%d", title, from, to, have.Major(), have.Minor()+1)
	case want.Minor() > have.Minor()+1:
		return fmt.Errorf("%s is at %s, and %s skips a minor version: Kubernetes goes up by one at a time; upgrade to v%d.%d first, with the workers",
			title, from, to, have.Major(), have.Minor()+1)
	}
	return nil
}

// refuseWorkers says why a MachineDeployment cannot follow its control plane.
func (r upgradeRequest) refuseWorkers(deployment clusterv1.MachineDeployment, edit upgradeEdit) error {
	if edit.From == r.Version {
		return nil
	}
	rest := "; or upgrade the control plane alone with --control-plane-only"
	if why, resume := pausedBy(plan.Live(machineDeploymentKind, &deployment), nil); why != "" {
		return fmt.Errorf("%s is paused by %s, and its machines would not be replaced; resume it first with: %s%s", edit.title(), why, resume, rest)
	}
	have, err := version.ParseSemantic(edit.From)
	want, wantErr := version.ParseSemantic(r.Version)
	if err == nil && wantErr == nil && want.LessThan(have) {
		return fmt.Errorf("%s is at %s, and %s is older: Kubernetes cannot go back; choose a version from %s on%s", edit.title(), edit.From, r.Version, edit.From, rest)
	}
	return nil
}
