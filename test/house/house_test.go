// SPDX-License-Identifier: Apache-2.0

// Package house holds the tree to the rules of the house: the layout that
// ARCHITECTURE.md shows, the direction of imports, the purity of plans, and the small
// conventions that no linter knows; and its scripts to what they say, in a sandbox.
//
// It only reads files of the tree; it holds tests only.
package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const module = "github.com/slipway-project/slipway"

// root is where the repository begins.
const root = "../.."

// longest is how many lines a function may have without saying why; the aim is 70.
const longest = 100

// files are the paths of all files below the root that match, but for what is built.
func files(t *testing.T, matches func(path string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (name == ".git" || name == ".cache" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err == nil && entry.Type().IsRegular() && matches(relative) {
			found = append(found, filepath.ToSlash(relative))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no file was found: the test shows nothing")
	}
	return found
}

func isGo(path string) bool { return strings.HasSuffix(path, ".go") }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, path string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return set, file
}

// layout gives the folders in the first column of the table under "Layout".
func layout(t *testing.T) []string {
	t.Helper()
	_, after, found := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Layout\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no section Layout")
	}
	section, _, _ := strings.Cut(after, "\n## ")
	var folders []string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		column, _, _ := strings.Cut(line[1:], "|")
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(column, -1) {
			folders = append(folders, strings.TrimSuffix(quoted[1], "/"))
		}
	}
	if len(folders) < 5 {
		t.Fatalf("the table under Layout lists only %v", folders)
	}
	return folders
}

func TestLayout(t *testing.T) {
	listed := map[string]bool{}
	for _, folder := range layout(t) {
		listed[strings.Split(folder, "/")[0]] = true
		if info, err := os.Stat(filepath.Join(root, folder)); err != nil || !info.IsDir() {
			t.Errorf("ARCHITECTURE.md lists %s, which is not there", folder)
		}
	}
	for _, file := range files(t, isGo) {
		top, _, below := strings.Cut(file, "/")
		switch {
		case !below:
			t.Errorf("%s: no Go code lies at the top", file)
		case !listed[top]:
			t.Errorf("%s: folder %s is not in the layout of ARCHITECTURE.md", file, top)
			listed[top] = true // once is enough
		}
	}
}

func TestPackageNamesAndDepth(t *testing.T) {
	vague := []string{"pkg", "util", "utils", "common", "helper", "helpers", "misc", "exp", "lib", "base", "shared"}
	for _, file := range files(t, isGo) {
		folders := strings.Split(filepath.ToSlash(filepath.Dir(file)), "/")
		if len(folders) > 3 {
			t.Errorf("%s lies %d folders deep; three is the most", file, len(folders))
		}
		for _, folder := range folders {
			if slices.Contains(vague, folder) {
				t.Errorf("%s: %q says nothing about what the package is for", file, folder)
			}
		}
	}
}

// imports says, for each top folder of ours, which others it may import.
var imports = map[string][]string{
	"plan": {}, "conditions": {}, "deploy": {}, "nodeimage": {},
	"contract":    {"api"},
	"machines":    {"api", "conditions"},
	"bootstrap":   {"api"},
	"credentials": {"api"},
	"etcd":        {"plan"},
	"engine":      {"api", "contract", "etcd", "plan"},
	"workload":    {"api", "credentials", "engine", "etcd", "plan"},
	"controllers": {"api", "bootstrap", "conditions", "contract", "credentials", "deploy", "engine", "etcd", "machines", "plan"},
	"providers":   {"api", "bootstrap", "conditions", "contract", "credentials", "engine", "machines", "plan"},
	"simulate":    {"api", "conditions", "contract", "credentials", "engine", "etcd", "machines", "plan"},
	"standalone":  {"api", "conditions", "contract", "credentials", "engine", "machines", "plan", "workload"},
	"cli":         {"api", "conditions", "contract", "credentials", "deploy", "engine", "machines", "nodeimage", "plan", "providers", "simulate", "standalone"},
	"cmd":         {"api", "cli", "controllers", "deploy", "engine", "etcd", "providers", "simulate", "standalone", "workload"},
	"test": {"api", "bootstrap", "cli", "conditions", "contract", "controllers", "credentials", "deploy", "engine", "etcd", "machines", "nodeimage",
		"plan", "providers", "simulate", "standalone", "workload"},
}

// leaves are packages of a provider that know neither the engine nor API objects.
var leaves = map[string][]string{
	"providers/docker/containers":  {},
	"providers/docker/cloudconfig": {},
	"providers/docker/operations":  {"plan", "providers/docker/containers", "providers/docker/cloudconfig"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T, folder string) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	command.Dir = filepath.Join(root, folder)
	output, err := command.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("list packages: %v\n%s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, one)
	}
}

// ours is an import path below the root; ok is false for anybody else's.
func ours(importPath string) (path string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

func TestImportsGoOneWay(t *testing.T) {
	for _, one := range listPackages(t, ".") {
		path, _ := ours(one.ImportPath)
		top, _, _ := strings.Cut(path, "/")
		allowed, known := imports[top]
		if !known {
			t.Errorf("no rule says what %s may import; add one here and to ARCHITECTURE.md", top)
			continue
		}
		for _, imported := range one.Imports {
			if target, ok := ours(imported); ok {
				if problem := forbidden(path, top, target, allowed); problem != "" {
					t.Errorf("%s imports %s: %s", path, target, problem)
				}
			}
		}
	}
}

func forbidden(path, top, target string, allowed []string) string {
	if only, leaf := leaves[path]; leaf {
		if !slices.Contains(only, target) {
			return "it is a leaf of its provider"
		}
		return ""
	}
	targetTop, _, _ := strings.Cut(target, "/")
	switch {
	case targetTop == top && top == "controllers":
		return "controllers never import each other; they meet in API objects"
	case targetTop == top:
		return ""
	case !slices.Contains(allowed, targetTop):
		return "imports go one way (ARCHITECTURE.md)"
	}
	return ""
}

// TestAPIImportsLittle: everybody who uses the types pays for what they import.
func TestAPIImportsLittle(t *testing.T) {
	for _, one := range listPackages(t, "api") {
		for _, imported := range one.Imports {
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			if !standard && !strings.HasPrefix(imported, "k8s.io/apimachinery/") && !strings.HasPrefix(imported, "k8s.io/api/") &&
				!strings.HasPrefix(imported, module+"/api/") {
				t.Errorf("%s imports %s; api imports apimachinery and k8s.io/api only", one.ImportPath, imported)
			}
		}
	}
}

// TestPlansArePure: what decides can reach nothing, and asks for neither time nor
// chance. These are the plan and status files of controllers and the pure packages.
func TestPlansArePure(t *testing.T) {
	pure := files(t, func(path string) bool {
		folder, name := filepath.Split(filepath.ToSlash(path))
		if !isGo(path) || strings.HasSuffix(name, "_test.go") {
			return false
		}
		if strings.HasPrefix(folder, "controllers/") || strings.HasPrefix(folder, "providers/docker/docker") {
			return strings.HasPrefix(name, "plan") || strings.HasPrefix(name, "status")
		}
		return slices.Contains([]string{"plan/", "contract/", "conditions/", "etcd/", "machines/"}, folder)
	})
	impureImports := regexp.MustCompile(`^(os|net|net/http|math/rand|math/rand/v2|crypto/rand|k8s\.io/client-go|sigs\.k8s\.io/controller-runtime)$|^(os|k8s\.io/client-go|sigs\.k8s\.io/controller-runtime)/`)
	impureCalls := []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.Tick", "metav1.Now"}
	for _, path := range pure {
		set, file := parse(t, path)
		for _, spec := range file.Imports {
			if imported := strings.Trim(spec.Path.Value, `"`); impureImports.MatchString(imported) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := selector.X.(*ast.Ident); ok && slices.Contains(impureCalls, of.Name+"."+selector.Sel.Name) {
				t.Errorf("%s: %s.%s", set.Position(selector.Pos()), of.Name, selector.Sel.Name)
			}
			return true
		})
	}
}

func generated(text string) bool {
	return regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`).MatchString(text)
}

func TestLicenceLine(t *testing.T) {
	const line = "SPDX-License-Identifier: Apache-2.0"
	for _, file := range files(t, isGo) {
		text := read(t, file)
		if strings.HasPrefix(text, "// "+line+"\n") || (generated(text) && strings.Contains(text, "// "+line+"\n")) {
			continue
		}
		t.Errorf("%s does not begin with // %s", file, line)
	}
	for _, file := range files(t, func(path string) bool { return strings.HasSuffix(path, ".sh") && !strings.Contains(path, "testdata") }) {
		if !strings.Contains(read(t, file), "\n# "+line+"\n") {
			t.Errorf("%s has no line # %s", file, line)
		}
	}
}

func TestPackageComments(t *testing.T) {
	commented := map[string]bool{}
	for _, file := range files(t, isGo) {
		_, parsed := parse(t, file)
		folder := filepath.Dir(file)
		commented[folder] = commented[folder] || (parsed.Doc != nil && strings.TrimSpace(parsed.Doc.Text()) != "")
	}
	for folder, has := range commented {
		if !has {
			t.Errorf("%s: no file says in a package comment what the package owns, and what it never does", folder)
		}
	}
}

// TestFunctionsAreShort: a function of more than 100 lines says why in its comment, in a
// line that begins with "house:long".
func TestFunctionsAreShort(t *testing.T) {
	for _, path := range files(t, func(path string) bool { return isGo(path) && !strings.HasSuffix(path, "_test.go") }) {
		if generated(read(t, path)) {
			continue
		}
		set, file := parse(t, path)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1
			if lines > longest && !excused(function.Doc) {
				t.Errorf("%s: %s has %d lines; %d is the most without a reason (//house:long <reason>)", path, function.Name.Name, lines, longest)
			}
		}
	}
}

func excused(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	return slices.ContainsFunc(doc.List, func(comment *ast.Comment) bool {
		reason, ok := strings.CutPrefix(comment.Text, "//house:long ")
		return ok && strings.TrimSpace(reason) != ""
	})
}

func TestDecisionsAreListed(t *testing.T) {
	index := read(t, "docs/adr/README.md")
	numbers := map[string]string{}
	for _, file := range files(t, func(path string) bool { return filepath.ToSlash(filepath.Dir(path)) == "docs/adr" }) {
		name := filepath.Base(file)
		if name == "README.md" {
			continue
		}
		if !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/adr/README.md does not link %s", name)
		}
		number, _, _ := strings.Cut(name, "-")
		if other, taken := numbers[number]; taken {
			t.Errorf("%s and %s have one number", other, name)
		}
		numbers[number] = name
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(index, -1) {
		if _, err := os.Stat(filepath.Join(root, "docs/adr", link[1])); err != nil {
			t.Errorf("docs/adr/README.md links %s, which is not there", link[1])
		}
	}
}

// TestNoPathsOfThisMachine: what somebody has in a certain place, only they have.
func TestNoPathsOfThisMachine(t *testing.T) {
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	places := placesOf(here, home)
	for _, file := range files(t, func(string) bool { return true }) {
		text := read(t, file)
		for number, line := range slices.Collect(strings.Lines(text)) {
			for _, place := range places {
				if names(line, place) {
					t.Errorf("%s:%d names %s", file, number+1, place)
				}
			}
		}
	}
}

// placesOf are the paths that mean something on this machine only. One of a single element, such as that of a checkout at
// /app, may mean anything.
func placesOf(here, home string) []string {
	places := []string{here, filepath.Join(filepath.Dir(here), "shared"), filepath.Join(filepath.Dir(here), ".library")}
	if len(home) > 1 {
		places = append(places, filepath.Join(home, ".cache"), filepath.Join(home, ".slipway"), filepath.Join(home, "go"))
	}
	return slices.DeleteFunc(places, func(place string) bool { return strings.Count(place, "/") < 2 })
}

// names tells whether a line has the path as a path: whole elements from the root on, not a piece of a longer name.
func names(line, place string) bool {
	inName := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.~$/}", r)
	}
	for at := 0; ; at++ {
		next := strings.Index(line[at:], place)
		if next < 0 {
			return false
		}
		at += next
		before, _ := utf8.DecodeLastRuneInString(line[:at])
		after, _ := utf8.DecodeRuneInString(line[at+len(place):])
		if (at == 0 || !inName(before)) && (after == '/' || !inName(after)) {
			return true
		}
	}
}

func TestPlacesOfThisMachine(t *testing.T) {
	if got := placesOf("/slipway", "/"); len(got) != 0 {
		t.Errorf("a checkout at /slipway has the places %v", got)
	}
	places := placesOf("/src/checkout", "/home/me")
	for line, want := range map[string]bool{
		"see /src/checkout/README.md":         true,
		`Path: "/src/checkout"`:               true,
		"example.com/src/checkout/x":          false,
		"$HOME/src/checkout/x":                false,
		"/src/checkouts":                      false,
		"/src/checkouts and /src/checkout":    true,
		"/home/me/.slipway/kubeconfig":        true,
		"in /src/shared/design, as it says":   true,
		"the folder shared of /src/elsewhere": false,
	} {
		if got := slices.ContainsFunc(places, func(place string) bool { return names(line, place) }); got != want {
			t.Errorf("%q names a place of this machine: %t", line, got)
		}
	}
}

// TestNothingIsLeftForLater: what is not done is said where users and the next developer read it, not marked in passing.
func TestNothingIsLeftForLater(t *testing.T) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	for _, file := range files(t, func(name string) bool { return filepath.Base(name) != "go.sum" }) {
		for number, line := range slices.Collect(strings.Lines(read(t, file))) {
			if mark := marks.FindString(line); mark != "" {
				t.Errorf("%s:%d holds %s", file, number+1, mark)
			}
		}
	}
}
