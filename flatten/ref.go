package flatten

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// Ref is the identity of a buildpack or an extension: its id and version,
// written id@version. It is a plain value, comparable and usable as a map key.
type Ref struct {
	ID      string
	Version string
}

// String returns id@version, or the id alone if there is no version.
func (r Ref) String() string {
	if r.Version == "" {
		return r.ID
	}
	return r.ID + "@" + r.Version
}

// Compare orders refs by id and then by version, both as plain strings.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.ID, o.ID), cmp.Compare(r.Version, o.Version))
}

// ParseRef parses id@version. Both parts are required and must be valid (see [Ref.Check]).
func ParseRef(s string) (Ref, error) {
	id, version, _ := strings.Cut(s, "@")
	r := Ref{ID: id, Version: version}
	if err := r.Check(); err != nil {
		return Ref{}, fmt.Errorf("ref %q: %w", s, err)
	}
	return r, nil
}

// Check returns an error if the ref cannot name a directory of its own below /cnb/buildpacks: an
// empty part, a path separator in the version, a dot component, the name of a whiteout, or a
// character that is invalid in an id. The spec allows letters, digits and "./-" in ids; Check also
// allows harmless characters that published buildpacks use.
func (r Ref) Check() error {
	return errors.Join(
		checkPart("id", r.ID, func(s string) bool { return !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/") }),
		checkPart("version", r.Version, func(s string) bool { return !strings.Contains(s, "/") }),
	)
}

func checkPart(what, s string, slashesFit func(string) bool) error {
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`\@,:*?"<>|{}$%`, r) || r == unicode.ReplacementChar
	}
	switch {
	case s == "":
		return fmt.Errorf("%s is missing", what)
	case len(s) > 200:
		return fmt.Errorf("%s is longer than 200 bytes", what)
	case strings.ContainsFunc(s, bad) || !slashesFit(s) || path.Clean("/"+s) != "/"+s || strings.HasPrefix(s, ".wh."):
		return fmt.Errorf("invalid %s %q; use letters, digits and . - _ +", what, s)
	}
	return nil
}

// Kind is the kind of a module: a buildpack or an image extension.
type Kind string

// The kinds of modules in the CNB spec.
const (
	Buildpack Kind = "buildpack"
	Extension Kind = "extension"
)

// Root returns the directory that holds every module of the kind: /cnb/buildpacks or
// /cnb/extensions (distribution spec, "Artifact Format").
func (k Kind) Root() string { return "/cnb/" + string(k) + "s" }

// Descriptor returns the name of the kind's descriptor: buildpack.toml or extension.toml.
func (k Kind) Descriptor() string { return string(k) + ".toml" }

// IDDir returns the directory that holds all versions of an id; "/" is escaped as "_".
func (k Kind) IDDir(r Ref) string { return k.Root() + "/" + r.idDirName() }

func (r Ref) idDirName() string { return strings.ReplaceAll(r.ID, "/", "_") }

// SharesIDDir reports whether two refs have the same id directory, as versions of one id do, and
// ids such as acme/x and acme_x.
func (r Ref) SharesIDDir(o Ref) bool { return r.idDirName() == o.idDirName() }

// ShareIDDir reports whether any two of the refs have the same id directory.
func ShareIDDir(refs []Ref) bool {
	seen := map[string]bool{}
	for _, r := range refs {
		if seen[r.idDirName()] {
			return true
		}
		seen[r.idDirName()] = true
	}
	return false
}

// Neighbours returns the refs in the order in which a layer holds them: unchanged, except that refs
// which share an id directory follow the first of them. So a layer needs only one entry for that
// directory: Docker and podman keep the tar headers of every layer (tar-split), and refuse layers
// with duplicate paths, including directories (see https://github.com/buildpacks/pack/issues/2429).
func Neighbours(refs []Ref) []Ref {
	byDir := map[string][]Ref{}
	for _, r := range refs {
		byDir[r.idDirName()] = append(byDir[r.idDirName()], r)
	}
	ordered := make([]Ref, 0, len(refs))
	for _, r := range refs {
		ordered = append(ordered, byDir[r.idDirName()]...)
		delete(byDir, r.idDirName())
	}
	return ordered
}

// Dir returns the directory that holds the module's files.
func (k Kind) Dir(r Ref) string { return k.IDDir(r) + "/" + r.Version }
