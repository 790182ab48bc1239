package flatten_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

func TestFlatten(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "flatten")
}

// r reads a ref that is known to be right.
func r(s string) flatten.Ref {
	ref, err := flatten.ParseRef(s)
	if err != nil {
		panic(err)
	}
	return ref
}

func rs(names ...string) []flatten.Ref {
	var refs []flatten.Ref
	for _, n := range names {
		refs = append(refs, r(n))
	}
	return refs
}

// component is a module without an order.
func component(name string) flatten.Module {
	ref := r(name)
	return flatten.Module{Kind: flatten.Buildpack, API: "0.10", Info: flatten.Info{ID: ref.ID, Version: ref.Version}}
}

// composite is a module whose order has one group for each list of entries.
func composite(name string, groups ...[]flatten.Entry) flatten.Module {
	m := component(name)
	for _, g := range groups {
		m.Order = append(m.Order, flatten.Group{Entries: g})
	}
	return m
}

// group has an entry for each id@version, or for an id alone.
func group(names ...string) []flatten.Entry {
	var entries []flatten.Entry
	for _, n := range names {
		if ref, err := flatten.ParseRef(n); err == nil {
			entries = append(entries, flatten.Entry{ID: ref.ID, Version: ref.Version})
		} else {
			entries = append(entries, flatten.Entry{ID: n})
		}
	}
	return entries
}

func modules(ms ...flatten.Module) flatten.Modules {
	all := flatten.Modules{}
	for _, m := range ms {
		all[m.Ref()] = m
	}
	return all
}
