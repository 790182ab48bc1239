package flatten

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Target is a platform of a buildpack or an image (buildpack spec, "Targets"): operating system,
// architecture, variant, and distributions.
type Target struct {
	OS      string   `toml:"os" json:"os"`
	Arch    string   `toml:"arch" json:"arch"`
	Variant string   `toml:"variant" json:"variant,omitempty"`
	Distros []Distro `toml:"distros" json:"distros,omitempty"`
}

// Distro is a distribution and its version.
type Distro struct {
	Name    string `toml:"name" json:"name,omitempty"`
	Version string `toml:"version" json:"version,omitempty"`
}

// ParseTarget parses os/arch[/variant][:distro@version[;distro@version]...]; several versions of
// one distribution may also be chained, as in linux/amd64:ubuntu@22.04@24.04.
func ParseTarget(s string) (Target, error) {
	wrong := func(why string) (Target, error) {
		return Target{}, fmt.Errorf("invalid target %q: %s; write os/arch[/variant][:distro@version], as in linux/amd64 or linux/arm64:ubuntu@24.04", s, why)
	}
	platform, distros, hasDistros := strings.Cut(s, ":")
	parts := strings.Split(platform, "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return wrong("want an operating system and an architecture")
	}
	for _, p := range parts {
		if strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" || p == "." || p == ".." {
			return wrong(fmt.Sprintf("invalid name %q", p))
		}
	}
	parts = append(parts, "", "")
	t := Target{OS: parts[0], Arch: parts[1], Variant: parts[2]}
	if !hasDistros {
		return t, nil
	}
	for d := range strings.SplitSeq(distros, ";") {
		name, versions, ok := strings.Cut(d, "@")
		switch {
		case name == "":
			return wrong("missing name of a distribution")
		case strings.ContainsFunc(d, oddInName):
			return wrong(fmt.Sprintf("invalid distribution %q", d))
		}
		if !ok {
			return wrong(fmt.Sprintf("missing version of distribution %q", name))
		}
		for v := range strings.SplitSeq(versions, "@") {
			if v == "" || v == "." || v == ".." {
				return wrong(fmt.Sprintf("missing version of distribution %q", name))
			}
			t.Distros = append(t.Distros, Distro{Name: name, Version: v})
		}
	}
	return t, nil
}

// oddInName reports whether a character must not be in a name: path separators, spaces and what
// cannot be printed.
func oddInName(r rune) bool {
	return r == '/' || r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar
}

// String formats the target as ParseTarget parses it.
func (t Target) String() string {
	s := strings.Join(slices.DeleteFunc([]string{t.OS, t.Arch, t.Variant}, func(p string) bool { return p == "" }), "/")
	for i, d := range t.Distros {
		s += []string{":", ";"}[min(i, 1)] + d.Name + "@" + d.Version
	}
	return s
}

// Folders returns the path, below a buildpack's root, of the folder for the target: os, arch,
// variant, distro@version. Readers follow it as far as it exists. Split a target of several
// distributions first (see [Target.PerDistro]).
func (t Target) Folders() []string {
	folders := slices.DeleteFunc([]string{t.OS, t.Arch, t.Variant}, func(p string) bool { return p == "" })
	for _, d := range t.Distros {
		folders = append(folders, d.Name+"@"+d.Version)
	}
	return folders
}

// PerDistro returns one target for each distribution.
func (t Target) PerDistro() []Target {
	if len(t.Distros) < 2 {
		return []Target{t}
	}
	var each []Target
	for _, d := range t.Distros {
		one := t
		one.Distros = []Distro{d}
		each = append(each, one)
	}
	return each
}
