package sink_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/sink"
)

var _ = Describe("runs beside each other", func() {
	It("lose nothing of what the others put into a layout", func(ctx SpecContext) {
		dir := filepath.Join(GinkgoT().TempDir(), "layout")
		img := imageOf(flatten.Target{OS: "linux", Arch: "amd64"}, layerOf(1, 1000))
		var group errgroup.Group
		for i := range 8 {
			group.Go(func() error {
				defer GinkgoRecover()
				_, err := sink.Write(ctx, ociLayout(dir, fmt.Sprintf("v%d", i)), []sink.Image{img}, sink.Options{})
				return err
			})
		}
		Expect(group.Wait()).To(Succeed())
		Expect(held(dir)).To(HaveLen(8))
		whole(dir)
	})

	// hold locks a directory as another process does, until the spec ends.
	hold := func(dir string) {
		GinkgoHelper()
		f, err := os.Open(dir)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.Close)
		Expect(syscall.Flock(int(f.Fd()), syscall.LOCK_EX)).To(Succeed())
	}

	DescribeTable("say what they wait for, once, and end at once when they are told to",
		func(ctx SpecContext, exists bool) {
			parent := GinkgoT().TempDir()
			dir := filepath.Join(parent, "layout")
			locked := parent
			if exists {
				Expect(os.Mkdir(dir, 0o755)).To(Succeed())
				locked = dir
			}
			hold(locked)
			log := &recorded{}
			cctx, cancel, soon := interruptible(ctx)
			ended := make(chan error, 1)
			go func() {
				_, err := sink.Write(cctx, ociLayout(dir, "v1"), []sink.Image{imageOf(amd64, layerOf(1, 1000))}, sink.Options{Log: log})
				ended <- err
			}()
			lines := func() []string {
				log.mu.Lock()
				defer log.mu.Unlock()
				return slices.Clone(log.lines)
			}
			Eventually(lines).WithTimeout(5 * time.Second).Should(Equal([]string{"warning waiting for another process to finish writing " + locked}))
			Consistently(ended).WithTimeout(500 * time.Millisecond).ShouldNot(Receive())
			cancel()
			var err error
			Eventually(ended).Should(Receive(&err))
			soon()
			Expect(err).To(MatchError(context.Canceled))
			Expect(lines()).To(HaveLen(1))
			Expect(leftovers(parent)).To(BeEmpty())
		},
		Entry("for a new layout", false),
		Entry("for a directory that is there", true),
	)

	It("do not wait for layouts that are written beside theirs", func(ctx SpecContext) {
		parent := GinkgoT().TempDir()
		dir := filepath.Join(parent, "layout")
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		hold(parent)
		_, err := sink.Write(ctx, ociLayout(dir, "v1"), []sink.Image{imageOf(amd64, layerOf(1, 1000))}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
	})
})
