package builder_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
)

var _ = Describe("a run", func() {
	It("leaves no file open, however many buildpacks there are", func() {
		open := func() int {
			n, ok := fixtures.OpenFiles()
			if !ok {
				Skip("there is no /proc here")
			}
			return n
		}
		b := newBench()
		var names, refs []string
		for n := range 20 {
			refs = append(refs, fmt.Sprintf("acme/c%d@1", n))
			names = append(names, b.Component(refs[n]))
		}
		b.pack("all.cnb", flatten.All, b.Composite("acme/all@1", refs...), names...)
		file := b.toml(buildpacks("all.cnb"), order("acme/all"))
		b.build(file) // what stays open for good is open now
		before := open()
		for _, mode := range []flatten.Mode{flatten.None, flatten.Composites} {
			b.build(file, flat(mode))
		}
		Eventually(open).Should(BeNumerically("<=", before+2))
	})

	It("ends soon after its context does, before and while it builds", func() {
		b := newBench()
		job := b.plan(b.whole())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		started := time.Now()
		_, err := job.Build(ctx)
		Expect(errors.Is(err, context.Canceled)).To(BeTrue(), "%v", err)
		config, _, err := config.ReadBuilder(b.At("builder.toml"))
		Expect(err).NotTo(HaveOccurred())
		work := GinkgoT().TempDir()
		jobs, err := builder.Prepare(ctx, b.opener(work), builder.Options{Config: config, Options: engine.Options{WorkDir: work}})
		Expect(errors.Is(err, context.Canceled)).To(BeTrue(), "%v", err)
		Expect(jobs).To(BeNil())
		Expect(time.Since(started)).To(BeNumerically("<", time.Second))
	})
})
