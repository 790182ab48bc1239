package simulate_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history"
	"laminate/builder/simulate"
	"laminate/flatten"
)

// Three releases of a builder with a composite of two components and a third
// one. In the second, a changes; in the third, nothing but c.
const small = `{
 "builder": "acme/builder",
 "sizes": {"a": 100, "b": 50, "c": 10, "x": 1},
 "composites": {"x@1": ["a@1", "b@1"], "x@2": ["a@2", "b@1"]},
 "releases": [
  {"version": "1", "date": "2024-01-01T00:00:00Z", "buildpacks": ["x@1", "c@1"]},
  {"version": "2", "date": "2024-01-02T00:00:00Z", "buildpacks": ["x@2", "c@1"]},
  {"version": "3", "date": "2024-01-03T00:00:00Z", "buildpacks": ["x@2", "c@2"],
   "layers": [{"digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000", "size": 1, "refs": ["x@2", "a@2", "b@1", "c@2"]}]}
 ]
}`

var _ = Describe("a simulation", func() {
	row := func(plan string, max, median int, mean, p50, p95, prefix int64) simulate.Row {
		return simulate.Row{Plan: plan, BuildpackLayers: 3, LayersMax: max, LayersMedian: median, MeanBytes: mean, P50Bytes: p50, P95Bytes: p95, MeanBytesPrefix: prefix}
	}

	DescribeTable("counts what is pulled", func(want simulate.Row) {
		result := run(simulate.Options{History: parse(small), Plans: []string{want.Plan}, Budgets: []int{3}})
		want.Budgeted = result.Rows[0].Budgeted
		Expect(result.Rows).To(Equal([]simulate.Row{want}))
	},
		// x, a, b, c from below: x and a, and then c, are pulled; with b and c above them.
		Entry("one layer each", row("exploded", 4, 4, (101+10)/2, 10, 101, (161+10)/2)),
		// a, b, c, x from below.
		Entry("as pack has it", row("pack", 4, 4, (101+10)/2, 10, 101, (161+11)/2)),
		// x, a and b; c.
		Entry("by composite", row("composites", 2, 2, (151+10)/2, 10, 151, (161+10)/2)),
		Entry("everything together", row("all", 1, 1, 161, 161, 161, 161)),
		// a; b; c and x.
		Entry("the largest alone", row("largest-alone", 3, 3, (111+11)/2, 11, 111, (161+11)/2)),
	)

	It("counts from a release on, and knows no later one", func() {
		result := run(simulate.Options{History: parse(small), Plans: []string{"exploded", "auto"}, Budgets: []int{3, 4}, From: "2"})
		Expect([]any{result.Builder, result.From, result.To, result.Steps}).To(Equal([]any{"acme/builder", "2", "3", 1}))
		Expect(result.Rows).To(HaveLen(4))
		for i, want := range []string{"exploded 3 false", "exploded 4 false", "auto 3 true", "auto 4 true"} {
			r := result.Rows[i]
			Expect(fmt.Sprint(r.Plan, " ", r.BuildpackLayers, " ", r.Budgeted)).To(Equal(want))
		}
		Expect(result.Rows[3].MeanBytes).To(Equal(int64(10)))
		o := simulate.Options{History: parse(small), Plans: []string{"auto"}, Budgets: []int{2}}
		both := run(o).Rows[0].MeanBytes
		o.From = "2"
		second := run(o).Rows[0].MeanBytes
		o.From, o.History.Releases = "", o.History.Releases[:2]
		Expect((run(o).Rows[0].MeanBytes+second)/2).To(Equal(both), "the first step is the same when the history ends there")
	})

	DescribeTable("refuses what cannot be", func(change func(*simulate.Options), want string) {
		o := simulate.Options{History: parse(small), Plans: []string{"all"}, Budgets: []int{3}}
		change(&o)
		_, err := simulate.Run(context.Background(), o)
		Expect(err).To(MatchError(want))
	},
		Entry("an unknown release", func(o *simulate.Options) { o.From = "9" }, "unknown release 9 in the history of acme/builder"),
		Entry("nothing after the first", func(o *simulate.Options) { o.From = "3" }, "no release after the first that is scored"),
		Entry("an unknown plan", func(o *simulate.Options) { o.Plans = []string{"best"} }, `unknown plan "best"`),
		Entry("no layers", func(o *simulate.Options) { o.Budgets = []int{0} }, "invalid budget of 0 layers"),
		Entry("no plan", func(o *simulate.Options) { o.Plans = nil }, "missing plan or budget"),
		Entry("layers that nobody looked at", func(o *simulate.Options) { o.Plans = []string{"published"} }, "plan published: release 1: no layers in the history"),
	)

	It("takes published layers as they were", func() {
		f := parse(small)
		layers := f.Releases[2].Layers
		for i, release := range f.Releases {
			layer := layers[0]
			layer.Refs = f.Expansions()[i].Refs
			base := layers[0]
			base.Refs = nil
			release.Layers = []history.Layer{base, layer}
			f.Releases[i] = release
		}
		Expect(f.Check()).To(Succeed())
		rows := run(simulate.Options{History: f, Plans: []string{"published", "all"}, Budgets: []int{1}}).Rows
		rows[0].Plan = "all"
		Expect(rows[0]).To(Equal(rows[1]), "the layer without buildpacks does not count")
	})

	It("ends when it is told to", func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := simulate.Run(ctx, simulate.Options{History: parse(small), Plans: []string{"auto"}, Budgets: []int{3}})
		Expect(err).To(MatchError(context.Canceled))
	})

	It("has the keys that others read", func() {
		out, err := json.Marshal(run(simulate.Options{History: parse(small), Plans: []string{"all"}, Budgets: []int{3}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(out).To(MatchJSON(`{"rows":[{"plan":"all","buildpackLayers":3,"layersMax":1,"layersMedian":1,"meanBytes":161,"p50Bytes":161,"p95Bytes":161,"meanBytesTenLater":0,"meanBytesPrefix":161}]}`))
	})

	It("is drawn, the same every time, whatever the builder is called", func() {
		f := parse(small)
		f.Builder = "<&\">"
		o := simulate.Options{History: f, Plans: []string{"exploded", "composites", "all", "auto"}, Budgets: []int{1, 2, 3}}
		svg := run(o).SVG()
		Expect(run(o).SVG()).To(Equal(svg))
		d := xml.NewDecoder(strings.NewReader(svg))
		circles := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			Expect(err).NotTo(HaveOccurred())
			if start, is := token.(xml.StartElement); is && start.Name.Local == "circle" {
				circles++
			}
		}
		Expect(circles).To(Equal(1+1+1+3), "one point for each plan that has no budget, three for auto")
		f.Sizes[flatten.Ref{ID: "b"}] = 1000 // what pulls b with the rest pulls too much
		Expect(run(o).SVG()).To(ContainSubstring("not drawn: composites (0 MB), all (0 MB), auto up to 1 (0 MB)"))
		for _, label := range []string{"exploded (4 layers)", "composites (2 layers)", "auto", "layers of buildpacks", "&lt;&amp;"} {
			Expect(svg).To(ContainSubstring(label))
		}
	})
})
