package packager_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
)

// pieceFunc is a piece that only a test can have: one that does not do what
// real ones do.
type pieceFunc func(ctx context.Context, w io.Writer) error

func (f pieceFunc) WriteEntries(ctx context.Context, w io.Writer) error { return f(ctx, w) }

// job prepares a package of a root and two components, all in one layer.
func (b *bench) job() *packager.Job {
	GinkgoHelper()
	b.Component("acme/a@1")
	b.Component("acme/b@1")
	b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
	jobs, err := b.prepare(b.toml("acme_root@1", "acme_a@1", "acme_b@1"), flat(flatten.All))
	Expect(err).NotTo(HaveOccurred())
	Expect(jobs).To(HaveLen(1))
	return jobs[0]
}

// pieceOf is what laminate writes of a directory on the bench, as bytes.
func (b *bench) pieceOf(dir string) []byte {
	GinkgoHelper()
	img := b.build(b.toml(dir))
	content := uncompressedTar(img.Layers[0])
	return content[:len(content)-1024]
}

var _ = Describe("the check of what was built", func() {
	ref := flatten.Ref{ID: "acme/a", Version: "1"}

	DescribeTable("finds a layer that does not hold what is planned, and says that it is laminate's fault",
		func(content func(b *bench) []byte, text string) {
			b := newBench()
			wrong := content(b)
			j := b.job()
			j.SetPiece(ref, pieceFunc(func(_ context.Context, w io.Writer) error { _, err := w.Write(wrong); return err }))
			img, err := j.Build(context.Background())
			Expect(img).To(BeNil())
			Expect(err).To(MatchError(ContainSubstring(text)))
			Expect(err).To(MatchError(ContainSubstring("[acme/root@1 acme/a@1 acme/b@1]")), "the layer is named by what it holds")
			Expect(engine.IsBug(err)).To(BeTrue())
		},
		Entry("nothing of it", func(*bench) []byte { return nil }, "acme/a@1 has no files in the layer"),
		Entry("another in its place", func(b *bench) []byte { return b.pieceOf(b.Component("acme/c@1")) }, "acme/a@1 has no files in the layer"),
		Entry("its files twice", func(b *bench) []byte { p := b.pieceOf(b.Component("acme/a@1")); return append(p, p...) }, "duplicate path"),
		Entry("no id directory", func(b *bench) []byte { return b.pieceOf(b.Component("acme/a@1"))[512:] }, "does not begin with /cnb/buildpacks/acme_a"),
		Entry("what is no archive", func(*bench) []byte { return bytes.Repeat([]byte("x"), 512) }, "invalid tar header"),
		Entry("an archive's end in its midst", func(b *bench) []byte { return append(b.pieceOf(b.Component("acme/a@1")), make([]byte, 1024)...) }, "acme/b@1 has no files"),
	)

	It("finds files that came with another ref than their own", func() {
		b := newBench()
		j := b.job()
		all := append(b.pieceOf("acme_a@1"), b.pieceOf("acme_b@1")...)
		j.SetPiece(ref, pieceFunc(func(_ context.Context, w io.Writer) error { _, err := w.Write(all); return err }))
		j.SetPiece(flatten.Ref{ID: "acme/b", Version: "1"}, pieceFunc(func(context.Context, io.Writer) error { return nil }))
		_, err := j.Build(context.Background())
		Expect(err).To(MatchError(ContainSubstring(", expected [")))
		Expect(engine.IsBug(err)).To(BeTrue())
	})

	It("leaves the error of a source alone, which is nobody's fault here", func() {
		b := newBench()
		j := b.job()
		j.SetPiece(ref, pieceFunc(func(_ context.Context, w io.Writer) error {
			_, err := w.Write(make([]byte, 100))
			return errors.Join(err, errors.New("acme_a@1: it changed while being read"))
		}))
		img, err := j.Build(context.Background())
		Expect(img).To(BeNil())
		Expect(err).To(MatchError("buildpack acme/a@1: acme_a@1: it changed while being read"))
		Expect(engine.IsBug(err)).To(BeFalse())
	})

	DescribeTable("finds an image that is not what was planned",
		func(spoil func(img *engine.Image), text string) {
			b := newBench()
			img := b.pair(flatten.None)
			refs := layersLabelOf(img.Image).Refs()
			var plan flatten.LayerPlan
			for _, l := range img.Layers {
				plan = append(plan, l.Plan)
			}
			Expect(packager.Verify(img, plan, refs)).To(Succeed())
			spoil(img)
			err := packager.Verify(img, plan, refs)
			Expect(err).To(MatchError(ContainSubstring(text)))
			Expect(engine.IsBug(err)).To(BeTrue())
		},
		Entry("a layer is missing", func(img *engine.Image) { img.Layers = img.Layers[1:] }, "2 layers and 3 in the config, expected 3"),
		Entry("layers in another order", func(img *engine.Image) { img.Layers[0], img.Layers[1] = img.Layers[1], img.Layers[0] }, "is out of order"),
		Entry("a layer that holds too little", func(img *engine.Image) { img.Layers[0].Pieces = []flatten.Facts{} }, "layer 1 of buildpacks holds [], expected [acme/a@1]"),
		Entry("a ref in two layers", func(img *engine.Image) {
			img.Layers[0].Pieces = append(img.Layers[0].Pieces, img.Layers[1].Pieces...)
		}, "layer 1 of buildpacks holds [acme/a@1 acme/b@1], expected [acme/a@1]"),
		Entry("a ref that is planned twice", func(img *engine.Image) {
			img.Layers[0].Plan.Refs = append(img.Layers[0].Plan.Refs, img.Layers[1].Plan.Refs...)
		}, "acme/b@1 is in two layers"),
		Entry("a label that leads to another layer", func(img *engine.Image) {
			spoilLabel(img, func(l flatten.LayersLabel) { l["acme/a"]["1"] = l["acme/b"]["1"] })
		}, "label has acme/a@1 in layer sha256:"),
		Entry("a label that lacks a ref", func(img *engine.Image) {
			spoilLabel(img, func(l flatten.LayersLabel) { delete(l, "acme/left") })
		}, "label has 2 refs, expected 3"),
	)
})

func spoilLabel(img *engine.Image, spoil func(flatten.LayersLabel)) {
	GinkgoHelper()
	label := layersLabelOf(img.Image)
	spoil(label)
	layers, err := img.Image.Layers()
	Expect(err).NotTo(HaveOccurred())
	img.Image = relabelled(img.Image, label, layers...)
}

var _ = Describe("a source that changes", func() {
	It("between two readings gives no image", func() {
		b := newBench()
		j := b.job()
		Expect(os.WriteFile(b.At("acme_a@1/lib/data"), []byte("shorter"), 0o644)).To(Succeed())
		img, err := j.Build(context.Background())
		Expect(img).To(BeNil())
		Expect(err).To(MatchError("buildpack acme/a@1: acme_a@1: lib/data: changed while being read"))
		Expect(engine.IsBug(err)).To(BeFalse())
	})

	It("by losing a file gives no image", func() {
		b := newBench()
		j := b.job()
		Expect(os.Remove(b.At("acme_a@1/lib/data"))).To(Succeed())
		_, err := j.Build(context.Background())
		Expect(err).To(MatchError(HavePrefix("buildpack acme/a@1: acme_a@1: lib/data: changed while being read: ")))
	})

	It("as a layout whose blob is another now gives no image", func() {
		b := newBench()
		theirs := recompressed(b.pair(flatten.All).Image, gzip9)
		b.keepLayout("left", theirs)
		jobs, err := b.prepare(b.toml("acme_root@1", "left"))
		Expect(err).NotTo(HaveOccurred())
		other, err := gzipped(bytes.Repeat([]byte{0}, 1024), 9).Compressed()
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(other)
		Expect(err).NotTo(HaveOccurred())
		blob := "left/blobs/sha256/" + strings.TrimPrefix(blobsOf(theirs)[0], "sha256:")
		Expect(os.WriteFile(b.At(blob), content, 0o644)).To(Succeed())
		_, err = jobs[0].Build(context.Background())
		Expect(err).To(MatchError(And(ContainSubstring("left: "), ContainSubstring(" bytes, expected "))))
	})
})

var _ = Describe("a run that is cancelled", func() {
	// slow is a piece that goes on until the context ends.
	slow := func(ctx context.Context, w io.Writer) error {
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return context.Cause(ctx)
	}

	It("ends within a second, with the cause, and leaves no layer", func() {
		b := newBench()
		j := b.job()
		j.SetPiece(flatten.Ref{ID: "acme/b", Version: "1"}, pieceFunc(slow))
		why := errors.New("the user has had enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		start := time.Now()
		_, err := j.Build(ctx)
		Expect(time.Since(start)).To(BeNumerically("<", time.Second))
		Expect(err).To(MatchError(why))
		Expect(engine.IsBug(err)).To(BeFalse())
	})

	It("before it begins opens nothing", func() {
		b := newBench()
		b.Component("acme/a@1")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		config, err := config.ReadPackage(b.toml("acme_a@1"))
		Expect(err).NotTo(HaveOccurred())
		_, err = packager.Prepare(ctx, b.opener(GinkgoT().TempDir()), packager.Options{Config: config})
		Expect(err).To(MatchError(context.Canceled))
	})
})

var _ = Describe("the work directory", func() {
	It("keeps nothing of a layer that could not be built", func() {
		b := newBench()
		work := GinkgoT().TempDir()
		b.Component("acme/a@1")
		jobs, err := b.prepare(b.toml("acme_a@1"), func(o *packager.Options) { o.WorkDir = work })
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(b.At("acme_a@1/lib/data"), []byte("else"), 0o644)).To(Succeed())
		_, err = jobs[0].Build(context.Background())
		Expect(err).To(HaveOccurred())
		Expect(filepath.Glob(filepath.Join(work, "*"))).To(BeEmpty())
	})
})
