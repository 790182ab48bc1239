package diff_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/diff"
)

// number is a number of bytes, or "?".
func number(p diff.Pull) string {
	if p.Bytes == nil {
		return fmt.Sprintf("%d layers, ? bytes", p.Layers)
	}
	return fmt.Sprintf("%d layers, %d bytes", p.Layers, *p.Bytes)
}

var _ = Describe("what is pulled", func() {
	DescribeTable("is counted by blobs", func(old, new, states, pull, prefix string) {
		d := compare(spec{layers: layersOf(old)}, spec{layers: layersOf(new)})
		var got []string
		for _, l := range d.Layers.All {
			word := l.State
			if l.InPrefix {
				word += "*"
			}
			got = append(got, word)
		}
		Expect(strings.Join(got, " ")).To(Equal(states))
		Expect(number(d.Layers.Pull)).To(Equal(pull))
		Expect(number(d.Layers.Prefix)).To(Equal(prefix))
	},
		Entry("all of it", "a b", "a b", "kept* kept*", "0 layers, 0 bytes", "0 layers, 0 bytes"),
		Entry("a new one on top", "a b", "a b c", "kept* kept* new", "1 layers, 100 bytes", "1 layers, 100 bytes"),
		Entry("a new one below", "a b", "c a b", "new kept kept", "1 layers, 100 bytes", "3 layers, 300 bytes"),
		Entry("one replaced", "a b c", "a x c", "kept* new kept", "1 layers, 100 bytes", "2 layers, 200 bytes"),
		Entry("exchanged", "a b c", "a c b", "kept* kept kept", "0 layers, 0 bytes", "2 layers, 200 bytes"),
		Entry("one dropped from the top", "a b", "a", "kept*", "0 layers, 0 bytes", "0 layers, 0 bytes"),
		Entry("one dropped from the bottom", "a b", "b", "kept", "0 layers, 0 bytes", "1 layers, 100 bytes"),
		Entry("compressed anew", "a b c", "a b/zstd c", "kept* recompressed kept", "1 layers, 100 bytes", "2 layers, 200 bytes"),
		Entry("one blob twice", "a", "a b c b", "kept* new new new", "2 layers, 200 bytes", "2 layers, 200 bytes"),
		Entry("a kept blob twice", "a b", "a b a a", "kept* kept* kept kept", "0 layers, 0 bytes", "1 layers, 100 bytes"),
		Entry("nothing before", "", "a b", "new new", "2 layers, 200 bytes", "2 layers, 200 bytes"),
	)

	DescribeTable("is unknown where blobs are", func(oldInDaemon, newInDaemon bool, new, pull, prefix string) {
		d := compare(spec{layers: layersOf("a b c"), daemon: oldInDaemon}, spec{layers: layersOf(new), daemon: newInDaemon})
		Expect(number(d.Layers.Pull)).To(Equal(pull))
		Expect(number(d.Layers.Prefix)).To(Equal(prefix))
		Expect(d.Old.Bytes == nil).To(Equal(oldInDaemon))
		Expect(d.New.Bytes == nil).To(Equal(newInDaemon))
		Expect(d.New.Digest == "").To(Equal(newInDaemon))
	},
		Entry("the old ones", true, false, "a x c", "1 layers, ? bytes", "2 layers, 200 bytes"),
		Entry("the old ones, but none of them stays", true, false, "x y", "2 layers, 200 bytes", "2 layers, 200 bytes"),
		Entry("the new ones", false, true, "a x c", "1 layers, ? bytes", "2 layers, ? bytes"),
		Entry("both", true, true, "a b c", "0 layers, ? bytes", "0 layers, 0 bytes"),
	)

	It("is never more by blobs than by the prefix, nor than the image", func() {
		random := rand.New(rand.NewPCG(1, 2))
		some := func() spec {
			var s spec
			for range random.IntN(8) {
				l := made{content: string(rune('a' + random.IntN(6))), blob: []string{"", "zstd"}[random.IntN(2)]}
				l.size = int64(l.content[0])*10 + int64(len(l.blob))
				s.layers = append(s.layers, l)
			}
			return s
		}
		for range 1000 {
			old, new := some(), some()
			d := compare(old, new)
			by := fmt.Sprint(old.layers, new.layers)
			Expect(d.Layers.Kept+d.Layers.New+d.Layers.Recompressed).To(Equal(len(new.layers)), by)
			Expect(*d.Layers.Pull.Bytes).To(BeNumerically("<=", *d.Layers.Prefix.Bytes), by)
			Expect(*d.Layers.Prefix.Bytes).To(BeNumerically("<=", *d.New.Bytes), by)
			wanted := map[string]int64{} // what OLD lacks, counted in another way
			for _, l := range new.layers {
				wanted[l.content+l.blob] = l.size
			}
			sum, total := int64(0), int64(0)
			for _, n := range wanted {
				total += n
			}
			Expect(*d.New.Bytes).To(Equal(total), by)
			for _, l := range old.layers {
				delete(wanted, l.content+l.blob)
			}
			for _, n := range wanted {
				sum += n
			}
			Expect(*d.Layers.Pull.Bytes).To(Equal(sum), by)
		}
	})
})
