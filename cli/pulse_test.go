package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/packager/progress"
)

var _ = Describe("a run without a terminal", func() {
	It("says what is under way after every ten silent seconds, and nothing else", func(SpecContext) {
		var out bytes.Buffer
		seconds := make(chan time.Time)
		log := cli.LinesOf(&out, seconds)
		// said lets so many seconds go by, and returns what was printed meanwhile.
		said := func(n int) string {
			for range n {
				seconds <- time.Time{}
			}
			seconds <- time.Time{} // now the one before has been dealt with
			defer out.Reset()
			return out.String()
		}
		Expect(said(30)).To(BeEmpty(), "nothing is under way")

		building := log.Start(progress.Building, progress.Subject{Name: "acme/java@1.0.0 and 2 more"}, -1)
		fetching := log.Start(progress.Downloading, progress.Subject{Name: "layer 0123", Digest: "sha256:0123"}, 3_000_000)
		building.Add(1_500_000)
		Expect(said(12)).To(Equal("building    acme/java@1.0.0 and 2 more (1.5 MB so far; 1 more under way)\n"))
		building.Add(119_000_000)
		Expect(said(8)).To(Equal("building    acme/java@1.0.0 and 2 more (120.5 MB so far; 1 more under way)\n"))

		building.Done(nil)
		fetching.Add(1_000_000)
		Expect(said(5)).To(BeEmpty())
		log.Warn("it is late")
		Expect(said(8)).To(Equal("warning: it is late\n"), "the silence begins anew")
		Expect(said(4)).To(Equal("downloading layer 0123 (1.0 MB of 3.0 MB)\n"))
		fetching.Done(nil)
		Expect(said(30)).To(BeEmpty())

		log.Start(progress.Building, progress.Subject{Name: "acme/go@1.0.0"}, -1)
		log.Warn("it is later")
		Expect(said(5)).To(Equal("warning: it is later\n"))
		log.End()
		log.End()
		Expect(out.String()).To(BeEmpty())
	}, NodeTimeout(10*time.Second))

	It("says of what the Docker daemon pulls no sizes, which it does not know", func(SpecContext) {
		var out bytes.Buffer
		seconds := make(chan time.Time)
		log := cli.LinesOf(&out, seconds)
		pulling := log.Start(progress.Pulling, progress.Subject{Name: "acme/build:1"}, -1)
		for range 11 {
			seconds <- time.Time{}
		}
		pulling.Done(nil)
		failing := log.Start(progress.Pulling, progress.Subject{Name: "acme/run:1"}, -1)
		failing.Done(errors.New("no such image"))
		log.Sum()
		log.End()
		Expect(out.String()).To(MatchRegexp(`^pulling     acme/build:1\npulled      acme/build:1\ndone in [0-9.]+ s\n$`))
	}, NodeTimeout(10*time.Second))

	It("ends with a summary that has no colon where there is nothing to sum up", func() {
		var out bytes.Buffer
		log := cli.LinesOf(&out, nil)
		log.Sum()
		log.End()
		Expect(out.String()).To(MatchRegexp(`^done in [0-9.]+ s\n$`))
	})
})

var _ = Describe("a run on a terminal", func() {
	It("draws nothing for what begins after its progress has ended", func() {
		log := cli.BarsOf(context.Background(), io.Discard)
		log.Start(progress.Building, progress.Subject{Name: "acme/java@1.0.0"}, -1).Done(nil)
		log.End()
		task := log.Start(progress.Uploading, progress.Subject{Name: "layer 0123", Digest: "sha256:0123"}, 3_000_000)
		task.Add(1000)
		task.Done(errors.New("the run has ended"))
	})

	It("draws nothing for what begins after it was interrupted", func() {
		ctx, interrupt := context.WithCancel(context.Background())
		log := cli.BarsOf(ctx, io.Discard)
		interrupt()
		Consistently(func() (panicked any) {
			defer func() { panicked = recover() }()
			log.Start(progress.Uploading, progress.Subject{Name: "layer 0123", Digest: "sha256:0123"}, 3_000_000).Done(nil)
			return nil
		}).Should(BeNil())
		log.End()
	})
})
