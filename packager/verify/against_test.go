package verify_test

import (
	"archive/tar"
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/verify"
)

var _ = Describe("two images", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })

	against := func(a, other string) []string {
		GinkgoHelper()
		mine, err := b.verified(a)
		Expect(err).NotTo(HaveOccurred())
		others, err := b.verified(other)
		Expect(err).NotTo(HaveOccurred())
		found, err := verify.Against(context.Background(), mine, others)
		Expect(err).NotTo(HaveOccurred())
		lines := []string{}
		for _, f := range found {
			Expect(f.Severity).To(Equal(verify.Broken))
			lines = append(lines, fmt.Sprintf("%s%s %d %s: %s", f.Target, f.What, f.Layer, f.Ref, f.Message))
		}
		return lines
	}
	both := func() (flat, exploded string) {
		return b.root("flat", flatten.All), b.root("exploded", flatten.None)
	}

	It("hold the same, flattened and exploded", func() {
		flat, exploded := both()
		Expect(against(flat, exploded)).To(BeEmpty())
		Expect(against(exploded, flat)).To(BeEmpty())
	})

	It("hold the same if owners, times and the order of entries differ, and if directories have no entries", func() {
		flat, exploded := both()
		Expect(against(b.rewritten(flat, func(_ int, all []entry) []entry {
			all = slices.DeleteFunc(all, func(e entry) bool { return strings.HasSuffix(e.Name, "/lib") })
			slices.SortStableFunc(all, func(a, b entry) int {
				if a.Typeflag == tar.TypeDir || b.Typeflag == tar.TypeDir {
					return 0
				}
				return strings.Compare(b.Name, a.Name)
			})
			for i := range all {
				all[i].Uid, all[i].ModTime = 7, all[i].ModTime.AddDate(1, 0, 0)
			}
			return all
		}), exploded)).To(BeEmpty())
	})

	DescribeTable("differ in a file", func(want string, change func(entry) []entry) {
		flat, exploded := both()
		changed := b.rewritten(flat, func(_ int, all []entry) []entry {
			var kept []entry
			for _, e := range all {
				if e.Name == "/cnb/buildpacks/acme_a/1/lib/data" {
					kept = append(kept, change(e)...)
				} else {
					kept = append(kept, e)
				}
			}
			return kept
		})
		Expect(against(changed, exploded)).To(HaveExactElements("files 1 acme/a@1: files differ: " + want))
	},
		Entry("its content", "lib/data (content)", func(e entry) []entry { e.Body = "x"; return []entry{e} }),
		Entry("its mode", "lib/data (mode 755, there 644)", func(e entry) []entry { e.Mode = 0o755; return []entry{e} }),
		Entry("its type", "lib/data (another type)", func(e entry) []entry {
			e.Typeflag, e.Linkname, e.Body = tar.TypeSymlink, "x", ""
			return []entry{e}
		}),
		Entry("one is missing", "lib/data (only there)", func(entry) []entry { return nil }),
		Entry("there is one more", "lib/more (missing there)", func(e entry) []entry { return []entry{e, file("/cnb/buildpacks/acme_a/1/lib/more", "")} }),
		Entry("there are many more", "lib/0 (missing there), lib/1 (missing there), lib/2 (missing there) and 2 more", func(e entry) []entry {
			all := []entry{e}
			for i := range 5 {
				all = append(all, file(fmt.Sprint("/cnb/buildpacks/acme_a/1/lib/", i), ""))
			}
			return all
		}),
	)

	It("hold the same if one has a hard link and the other the file", func() {
		flat, exploded := both()
		twice := func(e entry) string {
			return b.rewritten(flat, func(_ int, all []entry) []entry {
				i := slices.IndexFunc(all, func(e entry) bool { return e.Name == "/cnb/buildpacks/acme_a/1/lib/data" })
				e.Name, e.Mode = "/cnb/buildpacks/acme_a/1/lib/other", 0o644
				if e.Typeflag == tar.TypeReg {
					e.Body = all[i].Body
				}
				return slices.Insert(all, i+1, e)
			})
		}
		linked := strings.TrimPrefix(twice(entry{Header: tar.Header{Typeflag: tar.TypeLink, Linkname: "/cnb/buildpacks/acme_a/1/lib/data"}}), "oci:")
		b.keep("linked", b.open("oci:"+linked))
		Expect(against("oci:linked", twice(entry{Header: tar.Header{Typeflag: tar.TypeReg}}))).To(BeEmpty())
		Expect(against("oci:linked", exploded)).To(HaveExactElements("files 1 acme/a@1: files differ: lib/other (missing there)"))
	})

	It("differ in modules", func() {
		flat, _ := both()
		b.Composite("acme/root@1", "acme/a@1")
		other := b.pack("other", engine.Options{}, "acme_root@1", "acme_a@1")
		Expect(against(flat, other)).To(HaveExactElements(
			"modules 1 acme/b@1: buildpack is not in the image to compare with",
			"files 1 acme/root@1: files differ: buildpack.toml (content)",
		))
		Expect(against(other, flat)).To(HaveExactElements(
			"modules 0 acme/b@1: buildpack is only in the image to compare with",
			"files 2 acme/root@1: files differ: buildpack.toml (content)",
		))
	})

	It("are paired by platform", func() {
		flat, exploded := both()
		arm := func(name string) v1.Image {
			img := b.open(name)
			config := workbench.ConfigOf(img).DeepCopy()
			config.Architecture, config.Variant = "arm64", "v8"
			img, err := mutate.ConfigFile(img, config)
			Expect(err).NotTo(HaveOccurred())
			return img
		}
		plain := arm(exploded)
		config := workbench.ConfigOf(plain).DeepCopy()
		config.Variant = ""
		plain, err := mutate.ConfigFile(plain, config)
		Expect(err).NotTo(HaveOccurred())
		two := b.keep("two", b.open(flat), arm(flat))
		Expect(against(two, b.keep("both", plain, b.open(exploded)))).To(BeEmpty())
		Expect(against(two, exploded)).To(HaveExactElements("linux/arm64platform 0 : no image for linux/arm64 to compare with"))
		Expect(against(exploded, two)).To(HaveExactElements("linux/arm64platform 0 : no image for linux/arm64"))
		// Two single images are compared whatever they are for.
		Expect(against(b.keep("arm", arm(flat)), exploded)).To(BeEmpty())
	})

	It("cannot be compared where one cannot be read", func() {
		flat, exploded := both()
		changed := b.reconfigured(exploded, func(c *v1.ConfigFile) {
			d := c.RootFS.DiffIDs
			d[0], d[1] = d[1], d[0]
		})
		Expect(against(flat, changed)).To(HaveExactElements(
			"files 1 acme/a@1: not compared: it could not be read in one of the images",
			"files 1 acme/b@1: not compared: it could not be read in one of the images",
		))
	})
})
