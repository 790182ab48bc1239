package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Metadata is what many buildpacks list in the [metadata] of their descriptor: what they can
// install, and by default. The keys are those of Paketo's libraries packit and libpak; other
// buildpacks have keys of their own there.
type Metadata struct {
	Dependencies []MetadataDependency
	// DefaultVersions are version constraints by the id of a dependency.
	DefaultVersions map[string]string
}

// MetadataDependency is an element of [[metadata.dependencies]].
type MetadataDependency struct {
	ID, Name, Version string
	// Checksum is an algorithm and a hash in hex, separated by a colon.
	Checksum    string
	URI, Source string
	Stacks      []string
	// OS and Arch restrict the dependency to a platform.
	OS, Arch string
	// Licenses are SPDX identifiers, or URIs where there are none.
	Licenses []string
	PURL     string
	// Deprecated is the date after which the dependency is unsupported, as YYYY-MM-DD if it is
	// valid.
	Deprecated string
}

// ParseMetadata parses the [metadata] of a buildpack.toml or extension.toml; file is its name for
// messages. It ignores unknown keys, values of other types, and dependencies without id or version:
// the table is private to the buildpack. Invalid TOML is an error.
func ParseMetadata(file string, data []byte) (Metadata, error) {
	m := Metadata{Dependencies: []MetadataDependency{}, DefaultVersions: map[string]string{}}
	if _, problems := Parse(file, data); problems.Err() != nil { // enforces limits
		return m, problems.Err()
	}
	var descriptor map[string]any
	if err := toml.Unmarshal(data, &descriptor); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	private := table(descriptor["metadata"])
	for key, value := range table(private["default-versions"]) {
		if version := scalar(value); version != "" {
			m.DefaultVersions[key] = version
		}
	}
	for _, value := range list(private["dependencies"]) {
		if d := dependency(table(value)); d.ID != "" && d.Version != "" {
			m.Dependencies = append(m.Dependencies, d)
		}
	}
	return m, nil
}

func dependency(t map[string]any) MetadataDependency {
	text := func(key string) string { s, _ := t[key].(string); return s }
	d := MetadataDependency{
		ID: text("id"), Name: text("name"), Version: scalar(t["version"]), Checksum: text("checksum"),
		URI: text("uri"), Source: text("source"), Stacks: texts(t["stacks"]), OS: text("os"), Arch: text("arch"),
		Licenses: []string{}, PURL: cmp.Or(text("purl"), first(texts(t["purls"]))),
		Deprecated: date(t["deprecation_date"]),
	}
	if sum := text("sha256"); d.Checksum == "" && sum != "" {
		d.Checksum = "sha256:" + sum
	}
	for _, l := range list(t["licenses"]) {
		name, _ := l.(string)
		if of := table(l); of != nil {
			name = cmp.Or(scalar(of["type"]), scalar(of["uri"]))
		}
		if name != "" {
			d.Licenses = append(d.Licenses, name)
		}
	}
	return d
}

func table(v any) map[string]any { t, _ := v.(map[string]any); return t }

func list(v any) []any { l, _ := v.([]any); return l }

// texts returns the strings in a list.
func texts(v any) []string {
	all := []string{}
	for _, e := range list(v) {
		if s, is := e.(string); is {
			all = append(all, s)
		}
	}
	return all
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// scalar returns a string, or a number as text: authors forget quotes around versions.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64, float64:
		return fmt.Sprint(v)
	}
	return ""
}

// date returns the day of a TOML date or of a date in a string.
func date(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(time.DateOnly)
	case toml.LocalDate:
		return v.String()
	case toml.LocalDateTime:
		return v.LocalDate.String()
	case string:
		day, _, _ := strings.Cut(v, "T")
		if _, err := time.Parse(time.DateOnly, day); err == nil {
			return day
		}
		return v
	}
	return ""
}
