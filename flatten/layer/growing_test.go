package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	streaming "github.com/google/go-containerregistry/pkg/v1/stream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

var _ = Describe("a growing layer", func() {
	var o layer.BuildOptions
	BeforeEach(func() {
		o = layer.BuildOptions{Kind: flatten.Buildpack, Path: filepath.Join(GinkgoT().TempDir(), "layer")}
		o.Growing = o.Grow()
	})
	// readAll reads a blob in another goroutine.
	readAll := func() (blob *bytes.Buffer, ended chan error) {
		GinkgoHelper()
		r, err := o.Growing.Compressed()
		Expect(err).NotTo(HaveOccurred())
		blob, ended = &bytes.Buffer{}, make(chan error, 1)
		go func() {
			_, err := io.Copy(blob, r)
			ended <- errors.Join(err, r.Close())
		}()
		return blob, ended
	}

	It("gives all readers the blob, whenever they come", func(ctx SpecContext) {
		_, err := o.Growing.Digest()
		Expect(err).To(MatchError(streaming.ErrNotComputed))
		first, firstEnded := readAll()
		second, secondEnded := readAll()
		built, err := layer.Build(ctx, []layer.Member{sample(flatten.Ref{ID: "a", Version: "1"}), sample(flatten.Ref{ID: "b", Version: "1"})}, o)
		Expect(err).NotTo(HaveOccurred())
		Expect(o.Growing.Done()).To(BeClosed())
		late, lateEnded := readAll()
		want, err := os.ReadFile(built.Path())
		Expect(err).NotTo(HaveOccurred())
		for blob, ended := range map[*bytes.Buffer]chan error{first: firstEnded, second: secondEnded, late: lateEnded} {
			Expect(<-ended).To(Succeed())
			Expect(bytes.Equal(blob.Bytes(), want)).To(BeTrue())
		}
		digest, err := o.Growing.Digest()
		Expect(err).NotTo(HaveOccurred())
		Expect(built.Record().Digest).To(Equal(digest))
	})

	It("fails its readers with the error of the build, even if they have read it all", func(ctx SpecContext) {
		_, ended := readAll()
		_, err := layer.BuildTar(ctx, func(_ context.Context, w *tar.Writer) error {
			Expect(w.WriteHeader(&tar.Header{Name: "/x", Mode: 0o644, Size: 5})).To(Succeed())
			return errors.New("no such file")
		}, o)
		Expect(err).To(MatchError(ContainSubstring("no such file")))
		Expect(<-ended).To(MatchError(ContainSubstring("no such file")))
		_, err = o.Growing.Digest()
		Expect(err).To(MatchError(ContainSubstring("no such file")))
		Expect(o.Path).NotTo(BeAnExistingFile())
	})

	It("tells its readers if it is built again without a wrong splice", func(ctx SpecContext) {
		right := sample(flatten.Ref{ID: "a", Version: "1"})
		other := build(layer.Gzip, sample(flatten.Ref{ID: "b", Version: "1"}))
		wrong := right
		wrong.Splice = &layer.Splice{ContentID: other.Pieces[0].ContentID, Compression: layer.Gzip, Open: func(context.Context) (io.ReadCloser, error) {
			return build(layer.Gzip, right).Compressed()
		}}
		_, ended := readAll()
		built, err := layer.Build(ctx, []layer.Member{wrong}, o)
		Expect(err).NotTo(HaveOccurred())
		Expect(<-ended).To(MatchError(layer.ErrRestarted))
		again, againEnded := readAll()
		Expect(<-againEnded).To(Succeed())
		want, err := os.ReadFile(built.Path())
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(again.Bytes(), want)).To(BeTrue())
	})

	It("ends a read that waits once the reader is closed", func() {
		r, err := o.Growing.Compressed()
		Expect(err).NotTo(HaveOccurred())
		ended := make(chan error, 1)
		go func() {
			_, err := r.Read(make([]byte, 1))
			ended <- err
		}()
		Consistently(ended, 50*time.Millisecond).ShouldNot(Receive())
		Expect(r.Close()).To(Succeed())
		Expect(<-ended).To(MatchError(os.ErrClosed))
		Expect(r.Close()).To(Succeed())
	})
})
