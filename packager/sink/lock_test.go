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
	"laminate/packager/scratch"
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

	// claim takes the name of a new layout as another process does.
	claim := func(dir string) {
		GinkgoHelper()
		claimed, err := scratch.Claim(scratch.At(filepath.Dir(dir)), filepath.Base(dir))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).NotTo(BeNil())
		DeferCleanup(claimed.Remove)
	}

	DescribeTable("say what they wait for, once, and end at once when they are told to",
		func(ctx SpecContext, exists bool) {
			DeferCleanup(sink.SetLockPatience(100 * time.Millisecond))
			parent := GinkgoT().TempDir()
			dir := filepath.Join(parent, "layout")
			if exists {
				Expect(os.Mkdir(dir, 0o755)).To(Succeed())
				hold(dir)
			} else {
				claim(dir)
			}
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
			Eventually(lines).Should(Equal([]string{"warning waiting for another process to finish writing " + dir}))
			Consistently(ended).WithTimeout(100 * time.Millisecond).ShouldNot(Receive())
			cancel()
			var err error
			Eventually(ended).Should(Receive(&err))
			soon()
			Expect(err).To(MatchError(context.Canceled))
			Expect(lines()).To(HaveLen(1))
			Expect(filepath.Join(dir, "index.json")).NotTo(BeAnExistingFile())
		},
		Entry("for a new layout", false),
		Entry("for a directory that is there", true),
	)

	DescribeTable("do not wait for layouts that are written beside theirs",
		func(ctx SpecContext, exists bool) {
			parent := GinkgoT().TempDir()
			dir := filepath.Join(parent, "layout")
			if exists {
				Expect(os.Mkdir(dir, 0o755)).To(Succeed())
			}
			hold(parent)
			claim(filepath.Join(parent, "another"))
			_, err := sink.Write(ctx, ociLayout(dir, "v1"), []sink.Image{imageOf(amd64, layerOf(1, 1000))}, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
			whole(dir)
			Expect(leftovers(parent)).To(HaveLen(1), "the claim to the other")
		},
		Entry("with a new one", false, NodeTimeout(5*time.Second)),
		Entry("in a directory that is there", true, NodeTimeout(5*time.Second)),
	)

	It("wait for no process that was killed", func(ctx SpecContext) {
		parent := GinkgoT().TempDir()
		dir := filepath.Join(parent, "layout")
		dead, err := scratch.Claim(scratch.At(parent), "layout")
		Expect(err).NotTo(HaveOccurred())
		Expect(dead.Remove()).To(Succeed())
		Expect(os.Mkdir(dead.Path(), 0o755)).To(Succeed())
		_, err = sink.Write(ctx, ociLayout(dir, "v1"), []sink.Image{imageOf(amd64, layerOf(1, 1000))}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(names(parent)).To(Equal([]string{"layout"}))
	}, NodeTimeout(5*time.Second))
})
