package smoke_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/builder/smoke/tardiff"
	"laminate/packager/config"
)

var _ = Describe("a second build", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })
	// twice builds an app twice, from an empty cache.
	twice := func(ctx SpecContext, app string, a smoke.App) smoke.Result {
		GinkgoHelper()
		Expect(os.RemoveAll(l.At("cache-" + app))).To(Succeed())
		a.Twice = true
		result, _ := l.testWith(ctx, app, a)
		Expect(result.Error).To(BeEmpty())
		return result
	}

	DescribeTable("finds what became of a layer", func(ctx SpecContext, app, layer string, outcome smoke.LayerOutcome, written int, findings ...string) {
		modes := []smoke.LayerWrites{smoke.RefuseWrites}
		if outcome == smoke.ReusedLayer { // what is restored is there before the first turn
			modes = append(modes, smoke.IgnoreWrites, smoke.WarnOfWrites)
		}
		for _, mode := range modes {
			result := twice(ctx, app, smoke.App{LayerWrites: mode})
			Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
			var have []string
			for _, t := range result.Twice.Layers {
				if t.Buildpack != "" {
					have = append(have, fmt.Sprint(t.Buildpack, " ", t.Name, " ", t.Outcome, " ", t.Written))
				} else {
					Expect(t.Outcome).To(Equal(smoke.SameLayer), t.Name)
				}
			}
			Expect(have).To(Equal([]string{fmt.Sprint("smoke/", app, " ", layer, " ", outcome, " ", written)}))
			Expect(result.Twice.Findings()).To(HaveLen(len(findings)), "%q", result.Twice.Findings())
			for i, f := range findings {
				Expect(result.Twice.Findings()[i]).To(Equal(f))
			}
		}
	},
		Entry("from the previous image", "reuses", "data", smoke.ReusedLayer, 0),
		Entry("from the cache, that bin/build does not touch", "cached", "data", smoke.ReusedLayer, 0),
		Entry("that bin/build writes again", "remakes", "data", smoke.SameLayer, 1<<20, `layer "data" of smoke/remakes was built again with the same bytes: 1.0 MB written`),
		Entry("that differs each time", "changes", "changes", smoke.DifferentLayer, 37+16, `layer "changes" of smoke/changes differs in the second build: /layers/smoke_changes/changes/build-id is different`),
		Entry("with the app's files and others", "bundles", "all", smoke.SameLayer, 2<<20+31,
			`layer "all" of smoke/bundles was built again with the same bytes: 2.1 MB written`,
			`layer "all" of smoke/bundles holds the app's files (3) with others, 2.1 MB in all: it is new whenever the app is`),
	)

	DescribeTable("takes no layer for one with the app's files and others", func(ctx SpecContext, name, value string) {
		result := twice(ctx, "bundles", smoke.App{Env: []config.EnvVar{{Name: name, Value: value}}})
		Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
		for _, t := range result.Twice.Layers {
			Expect(t.AppFiles).To(BeZero(), t.Name)
		}
	},
		Entry("that has little else", "BP_BUNDLES_BYTES", "100000"),
		Entry("that has few of the app's files", "BP_BUNDLES_FILES", "src"),
	)

	It("has the layers of the lifecycle, with their bytes", func(ctx SpecContext) {
		result := twice(ctx, "hello", smoke.App{})
		names := map[string]smoke.TwiceLayer{}
		for _, t := range result.Twice.Layers {
			names[t.Name] = t
		}
		Expect(names).To(And(HaveKey("app"), HaveKey("launcher"), HaveKey("config"), HaveKey("process-types"), HaveKey("hello")))
		info, err := os.Stat(l.At("launcher"))
		Expect(err).NotTo(HaveOccurred())
		Expect(names["launcher"].Bytes).To(Equal(info.Size()))
		Expect(result.Twice.Image).To(Equal(result.Image))
		Expect(logOfPhase(result, "rebuild")).To(ContainSubstring("Reusing layer 'launcher'"))
	})

	It("has differences that the first one has not shown, and does not fail", func(ctx SpecContext) {
		result := twice(ctx, "changes", smoke.App{})
		Expect(result.Twice.Image).NotTo(Equal(result.Image))
		var xml strings.Builder
		Expect(smoke.Report{Apps: []smoke.Result{result}}.WriteJUnit(&xml)).To(Succeed())
		Expect(xml.String()).To(ContainSubstring("warning: layer &#34;changes&#34; of smoke/changes differs"))
		for _, t := range result.Twice.Layers {
			if t.Buildpack != "" {
				Expect(t.Changes).To(Equal([]tardiff.Change{{Path: "/layers/smoke_changes/changes/build-id", Kind: tardiff.Changed}}))
			}
		}
	})

	It("that fails is a failure, and its log is kept", func(ctx SpecContext) {
		result := twice(ctx, "reuses", smoke.App{
			Env:  []config.EnvVar{{Name: "BP_REUSES_FAILS", Value: "yes"}},
			Logs: func() (string, error) { return l.At("logs"), nil },
		})
		Expect(result.Status).To(Equal(smoke.Failed), "%+v", result)
		Expect(result.Failures).To(ContainElement(HaveField("Message", "second build, from the cache and the image of the first one, ended with exit code 51")))
		Expect(filepath.Join(l.At("logs"), "rebuild.log")).To(BeARegularFile())
	})
})
