package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

// Module is the content of a buildpack.toml or extension.toml, with positions: order entries have
// the path "order", i, "group", j.
type Module struct {
	flatten.Module
	Doc
}

// descriptor has the common keys of buildpack.toml and extension.toml (buildpack spec,
// "buildpack.toml"; image extension spec, "extension.toml").
type descriptor struct {
	API     string           `toml:"api"`
	Targets []flatten.Target `toml:"targets"`
	// Metadata is private to the module; its keys are not checked.
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
	// Order is parsed to be refused with its own message.
	Order any `toml:"order"`
}

// ParseModule parses a buildpack.toml or extension.toml; file is its name for messages. The Module
// is as complete as possible; it is valid if Problems.Err is nil.
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

// plainExecEnv converts an exec-env of tables with a name, as in the spec, to one of strings, as in
// pack and the lifecycle.
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

// check validates the values, and canonicalizes the API version.
func (m *Module) check() Problems {
	problems := m.checkAPI()
	table := string(m.Kind)
	if k := m.kind(table); k == unstable.Invalid || k == unstable.Table {
		problems = append(problems, m.checkRefPart(m.Info.ID, true, table, "id")...)
		problems = append(problems, m.checkRefPart(m.Info.Version, true, table, "version")...)
	}
	for i, t := range m.Targets {
		// Upper case makes a target that matches nothing, which is harmless.
		t.OS, t.Arch, t.Variant = strings.ToLower(t.OS), strings.ToLower(t.Arch), strings.ToLower(t.Variant)
		if err := checkTarget(t); err != nil {
			problems = append(problems, m.Problem(err.Error(), "targets", i))
		}
	}
	return append(problems, m.checkOrder()...)
}

// checkRefPart checks the id or version at the path.
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
		return Problems{m.Warning(fmt.Sprintf("buildpack API %s is unknown; laminate knows %s to %s",
			api, knownAPIs[0], knownAPIs[len(knownAPIs)-1]), "api")}
	}
	return nil
}

func (m *Module) checkOrder() Problems {
	var problems Problems
	if len(m.Order) > 0 && len(m.Stacks) > 0 {
		problems = append(problems, m.Problem("a buildpack with an [[order]] cannot have [[stacks]]; they are taken from its components", "stacks"))
	}
	if len(m.Order) > 0 && len(m.Targets) > 0 {
		problems = append(problems, m.Problem("a buildpack with an [[order]] cannot have [[targets]]; write them in its package.toml", "targets"))
	}
	for i, group := range m.Order {
		switch m.kind("order", i, "group") {
		case unstable.Invalid, unstable.Array:
			if len(group.Entries) == 0 && m.kind("order", i) == unstable.Table {
				problems = append(problems, m.Problem("empty group in the order; add its [[order.group]]", "order", i))
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

// checkTarget refuses a target that cannot be written on the command line, and so has no folder.
// Empty parts are allowed.
func checkTarget(t flatten.Target) error {
	for _, part := range []struct{ key, value string }{{"os", t.OS}, {"arch", t.Arch}, {"variant", t.Variant}} {
		if part.value == "" {
			continue
		}
		if read, err := flatten.ParseTarget(part.value); err != nil || read.OS != part.value {
			return fmt.Errorf("targets.%s %s is invalid; use lower-case letters, digits, dots, dashes and underscores", part.key, quote(part.value))
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
			return fmt.Errorf("targets.distros: invalid distribution, name %s, version %s", quote(d.Name), quote(d.Version))
		}
	}
	return nil
}
