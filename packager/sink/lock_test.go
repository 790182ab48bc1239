package sink_test

import (
	"fmt"
	"path/filepath"

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
})
