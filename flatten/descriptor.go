package flatten

import "slices"

// Module is the content of a buildpack.toml or extension.toml, or the part of it that the layers
// label of an image repeats.
type Module struct {
	Kind    Kind
	API     string // Buildpack API version, "0.10"
	Info    Info
	Stacks  []Stack
	Targets []Target
	Order   Order // only composites have one
}

// Ref returns the module's identity.
func (m Module) Ref() Ref { return Ref{ID: m.Info.ID, Version: m.Info.Version} }

// IsComposite reports whether the module is an order of other modules.
func (m Module) IsComposite() bool { return len(m.Order) > 0 }

// Info is the [buildpack] or [extension] table of a descriptor. With "stacks", it is the
// buildpackage metadata label (buildpack spec, "buildpack.toml"; distribution spec, "Labels").
type Info struct {
	ID          string    `toml:"id" json:"id,omitempty"`
	Name        string    `toml:"name" json:"name,omitempty"`
	Version     string    `toml:"version" json:"version,omitempty"`
	Description string    `toml:"description" json:"description,omitempty"`
	Homepage    string    `toml:"homepage" json:"homepage,omitempty"`
	Keywords    []string  `toml:"keywords" json:"keywords,omitempty"`
	ExecEnv     []string  `toml:"exec-env" json:"exec-env,omitempty"`
	Licenses    []License `toml:"licenses" json:"licenses,omitempty"`
	ClearEnv    bool      `toml:"clear-env" json:"clear-env,omitempty"`
}

// License is one entry of licenses. Its JSON keys are capitalised, as
// consumers of the label expect.
type License struct {
	Type string `toml:"type"`
	URI  string `toml:"uri"`
}

// Stack is a stack that a component supports, with the mixins it needs.
type Stack struct {
	ID     string   `toml:"id" json:"id"`
	Mixins []string `toml:"mixins" json:"mixins,omitempty"`
}

// Order is a list of groups to be tried in turn.
type Order []Group

// Then returns each group of the order, followed by each of the second.
func (o Order) Then(second Order) Order {
	var all Order
	for _, f := range o {
		for _, s := range second {
			all = append(all, Group{Entries: slices.Concat(f.Entries, s.Entries)})
		}
	}
	return all
}

// Group is one [[order]] table: its entries pass detection together.
type Group struct {
	Entries []Entry `toml:"group" json:"group"`
}

// Entry is one [[order.group]] table: a buildpack by id and version.
type Entry struct {
	ID       string   `toml:"id" json:"id,omitempty"`
	Version  string   `toml:"version,omitempty" json:"version,omitempty"`
	ExecEnv  []string `toml:"exec-env,omitempty" json:"exec-env,omitempty"`
	Optional bool     `toml:"optional,omitempty" json:"optional,omitempty"`
}

// Ref returns the ref that the entry names. Its version is empty if the entry has none.
func (e Entry) Ref() Ref { return Ref{ID: e.ID, Version: e.Version} }

// Entries returns the entries of all groups, in order.
func (o Order) Entries() []Entry {
	var all []Entry
	for _, g := range o {
		all = append(all, g.Entries...)
	}
	return all
}
