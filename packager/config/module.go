package config

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

// Module is what a buildpack.toml or extension.toml says, and where: its order
// entries stand at "order", i, "group", j.
type Module struct {
	flatten.Module
	Doc
}

// descriptor is a buildpack.toml or extension.toml (buildpack spec,
// "buildpack.toml"; image extension spec, "extension.toml").
type descriptor struct {
	API     string           `toml:"api"`
	Stacks  []flatten.Stack  `toml:"stacks"`
	Targets []flatten.Target `toml:"targets"`
	// Metadata is the module's own; nobody else knows its keys.
	Metadata any `toml:"metadata"`
}

type buildpackDescriptor struct {
	descriptor
	Buildpack struct {
		flatten.Info
		SBOMFormats []string `toml:"sbom-formats"`
	} `toml:"buildpack"`
	Order flatten.Order `toml:"order"`
}

type extensionDescriptor struct {
	descriptor
	Extension struct {
		flatten.Info
		SBOMFormats []string `toml:"sbom-formats"`
	} `toml:"extension"`
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
		m.take(d.descriptor, d.Extension.Info, nil)
		if doc.Has("order") {
			problems = append(problems, doc.Problem("an extension cannot have an [[order]]; only a buildpack can", "order"))
		}
	} else {
		var d buildpackDescriptor
		problems = doc.Decode(&d, WarnOfUnknown)
		m.take(d.descriptor, d.Buildpack.Info, d.Order)
	}
	problems = append(problems, m.check()...)
	return m, problems.inOrder()
}

func (m *Module) take(d descriptor, info flatten.Info, order flatten.Order) {
	m.API, m.Info, m.Stacks, m.Targets, m.Order = d.API, info, d.Stacks, d.Targets, order
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
	required := func(key, value string, check flatten.Ref) {
		switch {
		case !m.Has(table, key):
			problems = append(problems, m.Problem(table+"."+key+" is missing", table))
		case m.hasString(table, key):
			if err := check.Check(); err != nil {
				problems = append(problems, m.Problem(table+": "+err.Error(), table, key))
			}
		}
	}
	required("id", m.Info.ID, flatten.Ref{ID: m.Info.ID, Version: "0"})
	required("version", m.Info.Version, flatten.Ref{ID: "-", Version: m.Info.Version})
	for i, t := range m.Targets {
		if err := checkTarget(t); err != nil {
			problems = append(problems, m.Problem(err.Error(), "targets", i))
		}
	}
	return append(problems, m.checkOrder()...)
}

func (m *Module) checkAPI() Problems {
	if !m.Has("api") {
		return Problems{m.Problem(`api is missing; write the Buildpack API version, as in api = "0.10", at the top`)}
	}
	if !m.hasString("api") {
		return nil // reported as a value of the wrong type
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
		if len(group.Entries) == 0 && !m.Has("order", i, "group", 0) {
			problems = append(problems, m.Problem("a group of the order is empty; write its [[order.group]]", "order", i))
		}
		for j, entry := range group.Entries {
			problems = append(problems, m.checkEntry(entry, "order", i, "group", j)...)
		}
	}
	return problems
}

func (m *Module) checkEntry(entry flatten.Entry, path ...any) Problems {
	var problems Problems
	idPath, versionPath := append(path[:len(path):len(path)], "id"), append(path[:len(path):len(path)], "version")
	if !m.Has(idPath...) {
		problems = append(problems, m.Problem("order.group: id is missing", path...))
	} else if m.hasString(idPath...) {
		if err := (flatten.Ref{ID: entry.ID, Version: "0"}).Check(); err != nil {
			problems = append(problems, m.Problem("order.group: "+err.Error(), idPath...))
		}
	}
	if entry.Version != "" {
		if err := (flatten.Ref{ID: "-", Version: entry.Version}).Check(); err != nil {
			problems = append(problems, m.Problem("order.group: "+err.Error(), versionPath...))
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
			return fmt.Errorf("targets.%s %s is no name", part.key, quote(part.value))
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
