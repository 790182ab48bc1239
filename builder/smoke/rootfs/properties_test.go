package rootfs_test

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// withSticky writes a mode as fs.FileMode has it.
func withSticky(mode int64) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// dice make random layers.
type dice struct{ *rand.Rand }

func (d dice) name(prefix string) string {
	p := prefix
	for range 1 + d.IntN(3) {
		p += "/" + string("abc"[d.IntN(3)])
	}
	switch d.IntN(12) {
	case 0:
		return "../.." + p
	case 1:
		return strings.TrimPrefix(p, "/") + "/../" + string("abc"[d.IntN(3)])
	case 2:
		return "." + p
	}
	return p
}

func (d dice) target() string {
	return []string{"a", "/a", "../b", "../../../c", "/b/c", "b/../a", ".", "/", "c/a", "/../a/b", "a/./b/"}[d.IntN(11)]
}

// entry is a random entry.
func (d dice) entry(prefix string) entry {
	e := entry{Header: tar.Header{Name: d.name(prefix), Mode: []int64{0o755, 0o644, 0o600, 0o4755, 0o1777, 0o555}[d.IntN(6)], ModTime: time.Unix(d.Int64N(2_000_000_000), 0)}}
	switch n := d.IntN(20); {
	case n < 6:
		e.Typeflag, e.Body = tar.TypeReg, fmt.Sprint(d.Uint32())
	case n < 10:
		e.Typeflag = tar.TypeDir
	case n < 13:
		e.Typeflag, e.Linkname = tar.TypeSymlink, d.target()
	case n < 15:
		e.Typeflag, e.Linkname = tar.TypeLink, d.name(prefix)
	case n < 16:
		e.Typeflag = tar.TypeFifo
	case n < 18:
		e.Typeflag, e.Name = tar.TypeReg, path.Join(path.Dir(e.Name), ".wh."+path.Base(e.Name))
	case n < 19:
		e.Typeflag, e.Name = tar.TypeReg, e.Name+"/.wh..wh..opq"
	default:
		e.Typeflag, e.Name = tar.TypeDir, "/"
	}
	return e
}

// layer is a random layer, which the model is given too. It seldom has an entry that is refused.
func (d dice) layer(m *model, prefixes ...string) (all []entry, err error) {
	m.layer++
	for range 3 + d.IntN(12) {
		e := d.entry(prefixes[d.IntN(len(prefixes))])
		if m.clone().apply(e) != nil && d.IntN(40) > 0 {
			continue
		}
		all = append(all, e)
		if err := m.apply(e); err != nil {
			return all, err
		}
	}
	return all, nil
}

var _ = Describe("any image", func() {
	// holds compares an image with the model.
	holds := func(seed uint64, m *model, refused error, refs map[int][]flatten.Ref, layers [][]entry) {
		GinkgoHelper()
		said := fmt.Sprintf("seed %d: %s", seed, script(layers))
		root, err := tryUnpack(labelled(refs, layers...))
		if refused != nil {
			Expect(err).To(HaveOccurred(), said)
			return
		}
		Expect(err).NotTo(HaveOccurred(), said)
		Expect(look(root.Path)).To(Equal(m.look()), said)
		Expect(root.Entries).To(Equal(len(m.look())), said)
	}

	It("is unpacked as the model has it", func() {
		for seed := range uint64(60) {
			d, m := dice{rand.New(rand.NewPCG(seed, 0))}, newModel()
			var layers [][]entry
			var refused error
			for range 1 + d.IntN(4) {
				var l []entry
				l, refused = d.layer(m, "")
				if layers = append(layers, l); refused != nil {
					break
				}
			}
			holds(seed, m, refused, nil, layers)
		}
	})

	It("is unpacked as the model has it if its layers are written at the same time", func() {
		for seed := range uint64(50) {
			d, m := dice{rand.New(rand.NewPCG(seed, 1))}, newModel()
			refs := map[int][]flatten.Ref{}
			var layers [][]entry
			var refused error
			for i := range 5 {
				prefixes := []string{""}
				if i > 0 && d.IntN(8) > 0 {
					r := flatten.Ref{ID: string("abcdef"[i]), Version: "1"}
					refs[i], prefixes = []flatten.Ref{r}, []string{flatten.Buildpack.Dir(r)}
					if d.IntN(8) == 0 {
						prefixes = append(prefixes, "") // the label lies
					}
				}
				var l []entry
				l, refused = d.layer(m, prefixes...)
				if i > 0 {
					above := dir("/cnb/buildpacks")
					above.ModTime, above.Mode = time.Unix(int64(i), 0), 0o700|d.Int64N(8)
					if m.clone().apply(above) == nil && refused == nil {
						l, refused = append(l, above), m.apply(above)
					}
				}
				if layers = append(layers, l); refused != nil {
					break
				}
			}
			for i := range refs {
				if i >= len(layers) {
					delete(refs, i)
				}
			}
			holds(seed, m, refused, refs, layers)
		}
	})
})

// script describes layers for a failure.
func script(layers [][]entry) string {
	var s strings.Builder
	for i, l := range layers {
		fmt.Fprintf(&s, "\nlayer %d", i)
		for _, e := range l {
			fmt.Fprintf(&s, "\n  %c %q -> %q %o", e.Typeflag, e.Name, e.Linkname, e.Mode)
		}
	}
	return s.String() + "\n"
}
