package layer_test

import (
	"archive/tar"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

const (
	bp  = "/cnb/buildpacks"
	noT = "the archive does not end in exactly two blocks of zeros"
)

var _ = Describe("a layer that another tool wrote", func() {
	x, x1, x2, y, y1 := dir(bp+"/x"), dir(bp+"/x/1"), dir(bp+"/x/2"), dir(bp+"/y"), dir(bp+"/y/1")
	f1, f2, g1 := file(bp+"/x/1/f", "one"), file(bp+"/x/2/f", "two"), file(bp+"/y/1/g", strings.Repeat("g", 700))
	long := strings.Repeat("long/", 60) + "name"
	gnu := entry(tar.Header{Name: bp + "/x/1/" + long, Format: tar.FormatGNU}, "one")
	paxed := entry(tar.Header{Name: bp + "/x/1/ü" + long, Format: tar.FormatPAX, ModTime: time.Unix(1, 500), PAXRecords: map[string]string{
		"SCHILY.xattr.user.a": "b", "VENDOR.key": "value",
	}}, "one")
	justFits := strings.Repeat("a", 100-len("cnb/buildpacks/x/1/"))
	farFits := strings.Repeat("b", 155-len("cnb/buildpacks/x/1/")) + "/" + strings.Repeat("c", 100)

	DescribeTable("is taken apart and put together", func(tarball []byte, nonCanonical string, want ...[]byte) {
		refs := []flatten.Ref{{ID: "x", Version: "1"}, {ID: "x", Version: "2"}, {ID: "y", Version: "1"}}[:len(want)]
		pieces, report, err := taken(tarball, refs...)
		Expect(err).NotTo(HaveOccurred())
		Expect(report.NonCanonical).To(Equal(nonCanonical))
		wanted := map[flatten.Ref]string{}
		for i, w := range want {
			wanted[refs[i]] = string(w)
		}
		for i, facts := range report.Pieces {
			Expect(pieces[i]).To(Equal(wanted[facts.Ref]), "%s", facts.Ref)
		}
		var inOrder []flatten.Ref
		byRef := map[flatten.Ref]string{}
		for i, facts := range report.Pieces {
			inOrder, byRef[facts.Ref] = append(inOrder, facts.Ref), pieces[i]
		}
		pieces = nil
		for _, r := range flatten.Neighbours(inOrder) {
			pieces = append(pieces, byRef[r])
		}
		joined := together(pieces...)
		if nonCanonical == "" {
			Expect(joined).To(Equal(tarball))
		}
		again, tidy, err := taken(joined, refs...)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(pieces))
		Expect(tidy.Pieces).To(ConsistOf(report.Pieces))
		tidy.Pieces = nil
		Expect(tidy).To(Equal(layer.Report{}), "what was joined is tidy")

		before, after := tree(tarball), tree(joined)
		maps.DeleteFunc(before, func(name, _ string) bool {
			return !slices.ContainsFunc(refs, func(r flatten.Ref) bool { return strings.HasPrefix(name+"/", flatten.Buildpack.Dir(r)+"/") })
		})
		for name, what := range before {
			Expect(after).To(HaveKeyWithValue(name, what))
		}
	},
		Entry("in our shape", cat(x, x1, f1, x2, f2, y, y1, g1, end), "", cat(x, x1, f1), cat(x, x2, f2), cat(y, y1, g1)),
		Entry("in our shape, in another order", cat(y, y1, g1, x, x2, f2, x1, f1, end), "", cat(x, x1, f1), cat(x, x2, f2), cat(y, y1, g1)),
		Entry("with the id before each of two versions, as laminate wrote it once", cat(x, x1, f1, x, x2, f2, end), "duplicate entry for "+bp+"/x", cat(x, x1, f1), cat(x, x2, f2)),
		Entry("without any file", cat(x, x1, end), "", cat(x, x1)),
		Entry("with slashes behind directories", cat(dir(bp+"/x/"), dir(bp+"/x/1/"), f1, end), "", cat(dir(bp+"/x/"), dir(bp+"/x/1/"), f1)),
		Entry("with relative names", cat(dir("cnb/buildpacks/x/"), dir("cnb/buildpacks/x/1"), file("cnb/buildpacks/x/1/f", "one"), end),
			"cnb/buildpacks/x/ is not an absolute name", cat(x, x1, f1)),
		Entry("with names that begin with a dot", cat(dir("./cnb/buildpacks/x/"), dir("./cnb/buildpacks/x/1/"), file("./cnb/buildpacks/x/1/f", "one"), end),
			"./cnb/buildpacks/x/ is not an absolute name", cat(x, x1, f1)),
		Entry("with names that are not plain", cat(x, x1, file("//cnb/./buildpacks/x//1/f", "one"), end), "//cnb/./buildpacks/x//1/f is not an absolute name", cat(x, x1, f1)),
		Entry("with a slash behind a file", cat(x, x1, raw(bp+"/x/1/f/", ofType('0'), "one"), end), bp+"/x/1/f/ is not an absolute name", cat(x, x1, f1)),
		Entry("with a relative name that just fits a short header", cat(x, x1, file("cnb/buildpacks/x/1/"+justFits, "one"), end),
			"cnb/buildpacks/x/1/"+justFits+" is not an absolute name", cat(x, x1, file(bp+"/x/1/"+justFits, "one"))),
		Entry("with a relative name that just fits a header", cat(x, x1, file("cnb/buildpacks/x/1/"+farFits, "one"), end),
			"cnb/buildpacks/x/1/"+farFits+" is not an absolute name", cat(x, x1, file(bp+"/x/1/"+farFits, "one"))),
		Entry("with long names as GNU writes them", cat(x, x1, gnu, end), "", cat(x, x1, gnu)),
		Entry("with relative long names as GNU writes them", cat(x, x1, entry(tar.Header{Name: "cnb/buildpacks/x/1/" + long, Format: tar.FormatGNU}, "one"), end),
			"cnb/buildpacks/x/1/"+long+" is not an absolute name", cat(x, x1, gnu)),
		Entry("with extended headers", cat(x, x1, paxed, end), "", cat(x, x1, paxed)),
		Entry("with relative names in extended headers", cat(x, x1, entry(tar.Header{Name: "cnb/buildpacks/x/1/ü" + long, Format: tar.FormatPAX, ModTime: time.Unix(1, 500), PAXRecords: map[string]string{
			"SCHILY.xattr.user.a": "b", "VENDOR.key": "value",
		}}, "one"), end), "cnb/buildpacks/x/1/ü"+long+" is not an absolute name", cat(x, x1, paxed)),
		Entry("with the oldest kind of file", cat(x, x1, raw(bp+"/x/1/f", ofType(0), "old"), end), "", cat(x, x1, raw(bp+"/x/1/f", ofType(0), "old"))),
		Entry("with the oldest kind of directory", cat(raw(bp+"/x/", ofType(0), ""), x1, f1, end), "", cat(raw(bp+"/x/", ofType(0), ""), x1, f1)),
		Entry("with links", cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"), soft(bp+"/x/1/s", "../../../../etc/passwd"), end), "",
			cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"), soft(bp+"/x/1/s", "../../../../etc/passwd"))),
		Entry("with a relative hard link", cat(x, x1, f1, hard(bp+"/x/1/h", "cnb/buildpacks/x/1/f"), end), "cnb/buildpacks/x/1/f is not an absolute name",
			cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"))),
		Entry("with a hard link to a hard link", cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"), hard(bp+"/x/1/i", bp+"/x/1/h"), end), "",
			cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"), hard(bp+"/x/1/i", bp+"/x/1/h"))),
		Entry("without an entry for the id", cat(x1, f1, end), bp+"/x/1 does not begin with "+bp+"/x", cat(own(bp+"/x"), x1, f1)),
		Entry("without an entry for the version", cat(x, f1, end), "missing entry for "+bp+"/x/1", cat(x, own(bp+"/x/1"), f1)),
		Entry("without either", cat(f1, end), bp+"/x/1 does not begin with "+bp+"/x", cat(own(bp+"/x"), own(bp+"/x/1"), f1)),
		Entry("with the id once for two versions that are apart, as pack flattens", cat(x, x1, f1, y, y1, g1, x2, f2, end), bp+"/x/2 does not begin with "+bp+"/x",
			cat(x, x1, f1), cat(x, x2, f2), cat(y, y1, g1)),
		Entry("with the ids first", cat(x, y, x1, f1, y1, g1, x2, f2, end), bp+"/x is empty", cat(x, x1, f1), cat(x, x2, f2), cat(y, y1, g1)),
		Entry("with pieces one in the other", cat(x, x1, f1, x2, file(bp+"/x/1/z", "z"), f2, end), bp+"/x/1 is not contiguous",
			cat(x, x1, f1, file(bp+"/x/1/z", "z")), cat(x, x2, f2)),
		Entry("with an id within its piece", cat(x, x1, x, f1, end), "duplicate entry for "+bp+"/x", cat(x, x1, f1)),
		Entry("with another id within its piece", cat(x, x1, y, f1, end), bp+"/y is inside of "+bp+"/x/1", cat(x, x1, f1)),
		Entry("with an id at the end", cat(x, x1, f1, y, end), bp+"/y is empty", cat(x, x1, f1)),
		Entry("with directories twice", cat(x, x1, dir(bp+"/x/1/d"), dir(bp+"/x/1/d/"), x1, end), "duplicate entry for "+bp+"/x/1/d", cat(x, x1, dir(bp+"/x/1/d"))),
		Entry("with a version twice", cat(x, x1, f1, x1, end), "duplicate entry for "+bp+"/x/1", cat(x, x1, f1)),
		Entry("with a directory above twice", cat(dir("/cnb"), dir("/cnb/"), x, x1, f1, end), "it has an entry for /cnb", cat(x, x1, f1)),
		Entry("with a directory after what is in it", cat(x, x1, file(bp+"/x/1/d/e/f", ""), dir(bp+"/x/1/d"), end), "", cat(x, x1, file(bp+"/x/1/d/e/f", ""), dir(bp+"/x/1/d"))),
		Entry("with further buildpacks", cat(y, y1, g1, x, x1, f1, x, x2, f2, end), "unexpected "+bp+"/y/1", cat(x, x1, f1)),
		Entry("with a further buildpack within another", cat(x, x1, f1, y, y1, g1, file(bp+"/x/1/z", "z"), end),
			"unexpected "+bp+"/y/1", cat(x, x1, f1, file(bp+"/x/1/z", "z"))),
		Entry("with directories above", cat(dir("/cnb"), dir("/cnb/buildpacks/"), x, x1, f1, end), "it has an entry for /cnb", cat(x, x1, f1)),
		Entry("with a directory for everything", cat(dir("./"), x, x1, f1, end), "it has an entry for /", cat(x, x1, f1)),
		Entry("without an end", cat(x, x1, f1), noT, cat(x, x1, f1)),
		Entry("with half an end", cat(x, x1, f1, end[:512]), noT, cat(x, x1, f1)),
		Entry("with a long end", cat(x, x1, f1, make([]byte, 10<<10)), noT, cat(x, x1, f1)),
		Entry("with something behind the end", cat(x, x1, f1, end, []byte("garbage")), noT, cat(x, x1, f1)),
		Entry("with another archive behind the end", cat(x, x1, f1, end, file("/etc/passwd", "root"), end), noT, cat(x, x1, f1)),
		Entry("with half a MiB of records, the most there can be", cat(x, x1, pax('x', "comment", strings.Repeat("c", 500_000)), f1, end), "",
			cat(x, x1, pax('x', "comment", strings.Repeat("c", 500_000)), f1)),
	)
})
