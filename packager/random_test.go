package packager_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// orderTree is a made-up tree of orders: the root is the last module, and all
// of the others are below it.
type orderTree struct {
	*bench
	random  *rand.Rand
	modules []module
	dirs    []string // of the modules
}

// growTree makes a tree of 3 to 25 buildpacks: composites within composites,
// children that several of them share, ids that are there in several versions.
func growTree(seed uint64) *orderTree {
	GinkgoHelper()
	t := &orderTree{bench: newBench(), random: rand.New(rand.NewPCG(seed, 0))}
	n := 3 + t.random.IntN(1+t.random.IntN(23))
	orphan := map[string]bool{}
	for i := range n {
		m := module{Ref: fmt.Sprintf("acme/m%d@1.%d", t.random.IntN(n), i)} // the same id now and then, but no ref twice
		for range t.random.IntN(5) * min(i, 1) * t.random.IntN(2) {
			if below := t.modules[t.random.IntN(i)].Ref; !slices.Contains(m.Order, below) {
				m.Order = append(m.Order, below)
				delete(orphan, below)
			}
		}
		if i == n-1 { // the root takes in whatever is nobody's
			for _, below := range t.modules {
				if orphan[below.Ref] {
					m.Order = append(m.Order, below.Ref)
				}
			}
			t.random.Shuffle(len(m.Order), func(i, j int) { m.Order[i], m.Order[j] = m.Order[j], m.Order[i] })
		}
		orphan[m.Ref] = true
		t.modules = append(t.modules, m)
		t.dirs = append(t.dirs, t.Add(m))
		if len(m.Order) == 0 {
			t.fill(t.dirs[i])
		}
	}
	return t
}

// fill puts files of many kinds into a component.
func (t *orderTree) fill(dir string) {
	GinkgoHelper()
	for i := range t.random.IntN(4) {
		content := make([]byte, t.random.IntN(3000))
		for j := range content {
			content[j] = byte('a' + t.random.IntN(4))
		}
		name := []string{"lib", "lib/deep/er", "bin", ".", "bin-x"}[t.random.IntN(5)] + fmt.Sprintf("/f%d", i)
		t.Write(dir+"/"+name, string(content))
		file := t.At(dir + "/" + name)
		Expect(os.Chmod(file, []os.FileMode{0o644, 0o755, 0o600, 0o700}[t.random.IntN(4)])).To(Succeed())
		switch t.random.IntN(4) {
		case 0:
			Expect(os.Link(file, t.At(dir+fmt.Sprintf("/a%d", i)))).To(Succeed())
		case 1:
			Expect(os.Symlink(filepath.Base(file), file+"-link")).To(Succeed())
		case 2:
			Expect(os.Mkdir(file+".d", 0o700)).To(Succeed())
		}
	}
}

// file returns the package.toml, with the dependencies in any order.
func (t *orderTree) file() string {
	GinkgoHelper()
	root := len(t.dirs) - 1
	deps := slices.Clone(t.dirs[:root])
	t.random.Shuffle(root, func(i, j int) { deps[i], deps[j] = deps[j], deps[i] })
	return t.toml(t.dirs[root], deps...)
}

// below lists the indexes of all that an order tree holds, the top first.
func (t *orderTree) below(top int) []int {
	all := []int{top}
	for _, ref := range t.modules[top].Order {
		child := slices.IndexFunc(t.modules, func(m module) bool { return m.Ref == ref })
		for _, i := range t.below(child) {
			if !slices.Contains(all, i) {
				all = append(all, i)
			}
		}
	}
	return all
}

// cut chooses a composite below the root, and gives the directories of what
// is below it and of what is not, the root left out; top is -1 where it has none.
func (t *orderTree) cut() (top int, inside, outside []string) {
	var composites []int
	root := len(t.modules) - 1
	for i, m := range t.modules[:root] {
		if len(m.Order) > 0 {
			composites = append(composites, i)
		}
	}
	if len(composites) == 0 {
		return -1, nil, nil
	}
	top = composites[t.random.IntN(len(composites))]
	below := t.below(top)
	for i, dir := range t.dirs[:root] {
		switch {
		case !slices.Contains(below, i):
			outside = append(outside, dir)
		case i != top:
			inside = append(inside, dir)
		}
	}
	return top, inside, outside
}

// some chooses some of the refs, perhaps none.
func (t *orderTree) some() []string {
	var refs []string
	for _, m := range t.modules {
		if t.random.IntN(3) == 0 {
			refs = append(refs, m.Ref)
		}
	}
	return refs
}
