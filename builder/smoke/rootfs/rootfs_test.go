package rootfs_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/rootfs"
	"laminate/flatten"
	"laminate/packager/stream"
)

var _ = Describe("a root file system", func() {
	It("of merged directories has what later layers put into /bin in /usr/bin", func() {
		root := unpack(imageOf(
			[]entry{dir("usr"), dir("usr/bin"), file("usr/bin/sh", "sh"), link("bin", "usr/bin"), link("lib64", "/usr/lib64"), link("etc", "../../../../../../../../private/etc")},
			[]entry{file("bin/x", "x"), file("lib64/ld.so", "ld"), file("etc/passwd", "root"), hard("sbin/y", "bin/x")},
			[]entry{file("bin/.wh.sh", ""), hard("/bin/z", "/usr/bin/x")},
		))
		seen := look(root.Path)
		Expect(seen).To(HaveKey("usr/bin/x"))
		Expect(seen).To(HaveKey("usr/lib64/ld.so"))
		Expect(seen).NotTo(HaveKey("usr/bin/sh"))
		Expect(seen["bin"]).To(HavePrefix(`link "usr/bin"`))
		Expect(seen).To(HaveKey("private/etc/passwd"))
	})

	It("keeps neither owners nor set-id bits, and can be removed", func() {
		closed := dir("closed")
		closed.Mode = 0o111
		bits := file("closed/su", "su")
		bits.Mode, bits.Uid, bits.Gid = 0o6755, 1234, 1234
		secret := file("closed/secret", "")
		secret.Mode = 0
		sticky := dir("tmp")
		sticky.Mode = 0o7777
		root := unpack(imageOf([]entry{closed, bits, secret, sticky}))
		seen := look(root.Path)
		Expect(seen["closed"]).To(Equal("directory 711 1000000000"))
		Expect(seen["closed/su"]).To(HavePrefix("file 755 "))
		Expect(seen["closed/secret"]).To(HavePrefix("file 0 "))
		info, err := os.Stat(filepath.Join(root.Path, "tmp"))
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode()&(os.ModeSticky|os.ModeSetuid|os.ModeSetgid) | info.Mode().Perm()).To(Equal(os.ModeSticky | 0o777))
	})

	It("skips devices and pipes, and counts them", func() {
		root := unpack(imageOf([]entry{file("dev/null", "a file")}, []entry{
			special("dev/null", tar.TypeChar, 0o666), special("dev/sda", tar.TypeBlock, 0o666), special("dev/log", tar.TypeFifo, 0o666)}))
		Expect(root.Skipped).To(BeEquivalentTo(3))
		Expect(look(root.Path)).To(HaveLen(2))
	})

	It("hides what lower layers have, and nothing of the same layer", func() {
		root := unpack(imageOf(
			[]entry{file("d/old", "1"), file("d/sub/old", "1"), file("e/old", "1"), file("f", "1")},
			[]entry{file("d/sub/new", "2"), file("e/new", "2"), file("f", "2"), file(".wh.d", ""), file("e/.wh..wh..opq", ""), file(".wh.f", ""), file("none/.wh.x", "")},
		))
		Expect(look(root.Path)).To(And(HaveLen(7), HaveKey("d/sub/new"), HaveKey("e/new"), HaveKey("f")))
	})

	It("replaces a file that has other names without changing those", func() {
		root := unpack(imageOf([]entry{file("a", "1"), hard("b", "a")}, []entry{file("b", "2")}))
		Expect(os.ReadFile(filepath.Join(root.Path, "a"))).To(BeEquivalentTo("1"))
		Expect(os.ReadFile(filepath.Join(root.Path, "b"))).To(BeEquivalentTo("2"))
	})

	DescribeTable("of a hostile image is refused", func(message string, layers ...[]entry) {
		_, err := tryUnpack(imageOf(layers...))
		Expect(err).To(MatchError(ContainSubstring(message)))
		Expect(err).To(MatchError(ContainSubstring("layer sha256:")), "it names the layer")
	},
		Entry("a loop of links", "too many symbolic links", []entry{link("a", "b"), link("b", "a"), file("a/x", "")}),
		Entry("a file as parent", "not a directory", []entry{file("a", ""), file("a/x", "")}),
		Entry("a hard link out of it", "hard link to", []entry{hard("passwd", "../../../../../../etc/passwd")}),
		Entry("a hard link out of it through a link", "hard link to", []entry{link("out", "/"), hard("passwd", "out/etc/passwd")}),
		Entry("a hard link to a directory", "hard link to", []entry{dir("d"), hard("x", "d")}),
		Entry("a hard link to the root", "hard link to", []entry{hard("x", "/")}),
		Entry("a hard link to itself", "hard link to", []entry{hard("x", "x")}),
		Entry("a whiteout of its parent", "invalid whiteout", []entry{file("d/.wh...", "")}),
		Entry("a whiteout of its directory", "invalid whiteout", []entry{file("d/.wh..", "")}),
		Entry("a file as root", "root is not a directory", []entry{file("..", "")}),
		Entry("a link as root", "root is not a directory", []entry{link("/", "/etc")}),
		Entry("a link to nothing", "symbolic link", []entry{link("x", "")}),
		Entry("an unknown type", "unsupported type", []entry{special("x", 'Z', 0o644)}),
		Entry("deep directories", "directories deep", []entry{dir(strings.Repeat("d/", 300))}),
		Entry("deep directories through links", "directories deep", []entry{dir(strings.Repeat("d/", 200)), link("l", strings.Repeat("d/", 200)), dir("l/" + strings.Repeat("d/", 60))}),
		Entry("a long name", "name has", []entry{file(strings.Repeat("d/", 2100)+"x", "")}),
	)

	It("has everything in it, whatever an image says", func() {
		outside := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(outside, "kept"), []byte("kept"), 0o600)).To(Succeed())
		before := look(outside)
		root := unpack(imageOf(
			[]entry{link("a", outside), link("b", "../../../../../../../../../.."+outside), link("self", "/proc/self/root")},
			[]entry{file("a/kept", "1"), file("b/new", "2"), file("a/.wh.kept", ""), file("b/.wh..wh..opq", ""), file("../../../../../.."+outside+"/kept", "3"), dir(outside), hard("a/h", "b/new"),
				file("self"+outside+"/kept", "4")},
			[]entry{dir("a"), file("a/kept", "5")},
		))
		Expect(look(outside)).To(Equal(before))
		Expect(os.ReadFile(filepath.Join(root.Path, "a/kept"))).To(BeEquivalentTo("5"))
		Expect(os.ReadFile(filepath.Join(root.Path, outside, "new"))).To(BeEquivalentTo("2"))
	})

	DescribeTable("is limited", func(limits stream.Limits, message string) {
		img := imageOf([]entry{file("a", strings.Repeat("a", 600))}, []entry{file("b", strings.Repeat("b", 600))})
		work := GinkgoT().TempDir()
		_, err := rootfs.Unpack(ctx, img, rootfs.Options{WorkDir: work, Limits: limits})
		Expect(err).To(MatchError(ContainSubstring(message)))
		Expect(os.ReadDir(work)).To(BeEmpty())
	},
		Entry("in bytes of all layers", stream.Limits{Bytes: 1000}, "limit of 1000 bytes"),
		Entry("in entries of all layers", stream.Limits{Entries: 1}, "more than 1 entries"),
	)

	// The lower layer is large: if both were written at the same time, its last file would be written
	// after that of the higher one.
	DescribeTable("has the files of the higher layer if buildpacks write to the same place", func(lower, higher flatten.Ref, entries ...entry) {
		large := file(flatten.Buildpack.Dir(lower)+"/large", strings.Repeat("large", 4_000_000))
		name := flatten.Buildpack.Dir(higher) + "/file"
		root := unpack(labelled(map[int][]flatten.Ref{0: {lower}, 1: {higher}}, append([]entry{large}, entries...), []entry{file(name, "higher")}))
		Expect(os.ReadFile(filepath.Join(root.Path, name))).To(BeEquivalentTo("higher"))
	},
		Entry("since their directories are the same", flatten.Ref{ID: "a/b", Version: "1"}, flatten.Ref{ID: "a_b", Version: "1"},
			file("/cnb/buildpacks/a_b/1/file", "lower")),
		Entry("since one has a file of the other", flatten.Ref{ID: "a", Version: "1"}, flatten.Ref{ID: "b", Version: "1"},
			file("/cnb/buildpacks/b/1/file", "lower")),
		Entry("since one links to the other", flatten.Ref{ID: "a", Version: "1"}, flatten.Ref{ID: "b", Version: "1"},
			link("/cnb/buildpacks/a/1/l", "../../b/1"), file("/cnb/buildpacks/a/1/l/file", "lower")),
		Entry("since one removes what the other has", flatten.Ref{ID: "a", Version: "1"}, flatten.Ref{ID: "b", Version: "1"},
			file("/cnb/buildpacks/b/.wh.1", "")),
	)

	It("has holes where a sparse file has them", func() {
		// GNU format 1.0: a map of one block of data at 1 GiB.
		data := strings.Repeat("x", 512)
		body := "1\n1073741824\n512\n" + strings.Repeat("\x00", 512-len("1\n1073741824\n512\n")) + data
		e := entry{Header: tar.Header{Name: "GNUSparseFile.0/big", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX,
			PAXRecords: map[string]string{}}, Body: body}
		raw := workbenchSparse(e)
		img, err := rawImage(nil, raw)
		Expect(err).NotTo(HaveOccurred())
		view, err := viewOf(img)
		Expect(err).NotTo(HaveOccurred())
		root := unpack(view)
		info, err := os.Stat(filepath.Join(root.Path, "big"))
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Size()).To(BeEquivalentTo(1<<30 + 512))
		Expect(blocksOf(info)).To(BeNumerically("<", 4096))
	})

	It("is not unpacked from a layer of another digest, or another diffID", func() {
		first, err := rawImage(nil, workbenchTar(file("a", "1")))
		Expect(err).NotTo(HaveOccurred())
		img, err := viewOf(wrongDiffID{first})
		Expect(err).NotTo(HaveOccurred())
		_, err = tryUnpack(img)
		Expect(err).To(MatchError(ContainSubstring("diffID is")))
	})
})

var _ = DescribeTable("the chain of diffIDs", func(want string, diffIDs ...string) {
	var all []v1.Hash
	for _, d := range diffIDs {
		all = append(all, v1.Hash{Algorithm: "sha256", Hex: d})
	}
	Expect(rootfs.ChainID(all).Hex).To(Equal(want))
},
	Entry("of no layer", ""),
	Entry("of one layer is its diffID", strings.Repeat("a", 64), strings.Repeat("a", 64)),
	Entry("of two layers", sha("sha256:"+strings.Repeat("a", 64)+" sha256:"+strings.Repeat("b", 64)), strings.Repeat("a", 64), strings.Repeat("b", 64)),
)
