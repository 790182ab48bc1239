package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

// Module is what a buildpack.toml or extension.toml says, and where: its order
// entries stand at "order", i, "group", j.
type Module struct {
	flatten.Module
	Doc
}

// descriptor is what buildpack.toml and extension.toml have in common
// (buildpack spec, "buildpack.toml"; image extension spec, "extension.toml").
type descriptor struct {
	API     string           `toml:"api"`
	Targets []flatten.Target `toml:"targets"`
	// Metadata is the module's own; nobody else knows its keys.
	Metadata any `toml:"metadata"`
}

type buildpackDescriptor struct {
	Buildpack struct {
		flatten.Info
		SBOMFormats []string `toml:"sbom-formats"`
	} `toml:"buildpack"`
	descriptor
	Stacks []flatten.Stack `toml:"stacks"`
	Order  flatten.Order   `toml:"order"`
}

type extensionDescriptor struct {
	Extension flatten.Info `toml:"extension"`
	descriptor
	// Order is known, to be refused in words of its own.
	Order any `toml:"order"`
}

// ParseModule reads a buildpack.toml or extension.toml, which messages call
// file. The Module is as complete as the problems let it be; it is fit for use
// where their Err is nil.
func ParseModule(kind flatten.Kind, file string, data []byte) (Module, Problems) {
	m := Module{Module: flatten.Module{Kind: kind}}
	doc, problems := Parse(file, data)
	m.Doc = doc
	if len(problems) > 0 {
		return m, problems
	}
	doc.plainExecEnv(string(kind))
	if kind == flatten.Extension {
		var d extensionDescriptor
		problems = doc.Decode(&d, WarnOfUnknown)
		m.API, m.Info, m.Targets = d.API, d.Extension, d.Targets
		if doc.Has("order") {
			problems = append(problems, doc.Problem("an extension cannot have an [[order]]; only a buildpack can", "order"))
		}
	} else {
		var d buildpackDescriptor
		problems = doc.Decode(&d, WarnOfUnknown)
		m.API, m.Info, m.Stacks, m.Targets, m.Order = d.API, d.Buildpack.Info, d.Stacks, d.Targets, d.Order
	}
	problems = append(problems, m.check()...)
	return m, problems.InOrder()
}

// plainExecEnv makes an exec-env of tables with a name, as the spec has it,
// one of strings, as pack and the lifecycle have it.
func (d Doc) plainExecEnv(table string) {
	n, rest := d.find([]any{table, "exec-env"})
	if rest > 0 {
		return
	}
	for _, e := range n.elems {
		if name := e.below["name"]; name != nil && len(e.keys) == 1 && name.kind == unstable.String {
			e.kind, e.text = unstable.String, name.text
		}
	}
}

// check reports what is wrong with the values, and writes the API version as
// labels have it.
func (m *Module) check() Problems {
	problems := m.checkAPI()
	table := string(m.Kind)
	if k := m.kind(table); k == unstable.Invalid || k == unstable.Table {
		problems = append(problems, m.checkRefPart(m.Info.ID, true, table, "id")...)
		problems = append(problems, m.checkRefPart(m.Info.Version, true, table, "version")...)
	}
	for i, t := range m.Targets {
		// Capitals make a target that nothing matches, but do no harm.
		t.OS, t.Arch, t.Variant = strings.ToLower(t.OS), strings.ToLower(t.Arch), strings.ToLower(t.Variant)
		if err := checkTarget(t); err != nil {
			problems = append(problems, m.Problem(err.Error(), "targets", i))
		}
	}
	return append(problems, m.checkOrder()...)
}

// checkRefPart checks the id or version that stands at the end of the path.
func (m *Module) checkRefPart(value string, required bool, path ...any) Problems {
	key, table := path[len(path)-1], dotted(path[:len(path)-1])
	ref := flatten.Ref{ID: "-", Version: value}
	if key == "id" {
		ref = flatten.Ref{ID: value, Version: "-"}
	}
	switch kind := m.kind(path...); {
	case kind == unstable.Invalid && required:
		return Problems{m.Problem(fmt.Sprintf("%s.%s is missing", table, key), path...)}
	case kind == unstable.String && (required || value != ""):
		if err := ref.Check(); err != nil {
			return Problems{m.Problem(table+": "+err.Error(), path...)}
		}
	}
	return nil
}

func (m *Module) checkAPI() Problems {
	switch m.kind("api") {
	case unstable.String:
	case unstable.Invalid:
		return Problems{m.Problem(`api is missing; write the Buildpack API version, as in api = "0.10", at the top`)}
	default:
		return nil
	}
	api, err := canonicalAPI(m.API)
	if err != nil {
		return Problems{m.Problem(err.Error(), "api")}
	}
	m.API = api
	if !KnownAPI(api) {
		return Problems{m.Warning(fmt.Sprintf("buildpack API %s is not known to laminate, which knows %s to %s",
			api, knownAPIs[0], knownAPIs[len(knownAPIs)-1]), "api")}
	}
	return nil
}

func (m *Module) checkOrder() Problems {
	var problems Problems
	if len(m.Order) > 0 && len(m.Stacks) > 0 {
		problems = append(problems, m.Problem("a buildpack with an [[order]] cannot have [[stacks]]; those of its components count", "stacks"))
	}
	if len(m.Order) > 0 && len(m.Targets) > 0 {
		problems = append(problems, m.Problem("a buildpack with an [[order]] cannot have [[targets]]; write them in its package.toml", "targets"))
	}
	for i, group := range m.Order {
		switch m.kind("order", i, "group") {
		case unstable.Invalid, unstable.Array:
			if len(group.Entries) == 0 && m.kind("order", i) == unstable.Table {
				problems = append(problems, m.Problem("a group of the order is empty; write its [[order.group]]", "order", i))
			}
		}
		for j, e := range group.Entries {
			if m.kind("order", i, "group", j) == unstable.Table {
				problems = append(problems, m.checkRefPart(e.ID, true, "order", i, "group", j, "id")...)
				problems = append(problems, m.checkRefPart(e.Version, false, "order", i, "group", j, "version")...)
			}
		}
	}
	return problems
}

// checkTarget reports a target that could not be written on a command line,
// and so neither followed into a folder. Parts that are empty are left out.
func checkTarget(t flatten.Target) error {
	for _, part := range []struct{ key, value string }{{"os", t.OS}, {"arch", t.Arch}, {"variant", t.Variant}} {
		if part.value == "" {
			continue
		}
		if read, err := flatten.ParseTarget(part.value); err != nil || read.OS != part.value {
			return fmt.Errorf("targets.%s %s is no name: write lower-case letters, digits, dots, dashes and underscores", part.key, quote(part.value))
		}
	}
	for _, d := range t.Distros {
		want := flatten.Distro{Name: d.Name, Version: d.Version}
		if want.Name == "" {
			want.Name = "any"
		}
		if want.Version == "" {
			want.Version = "any"
		}
		read, err := flatten.ParseTarget("any:" + want.Name + "@" + want.Version)
		if err != nil || len(read.Distros) != 1 || read.Distros[0] != want {
			return fmt.Errorf("targets.distros: name %s with version %s is no distribution", quote(d.Name), quote(d.Version))
		}
	}
	return nil
}
