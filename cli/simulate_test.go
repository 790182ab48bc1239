package cli_test

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

const twoReleases = `{
 "builder": "acme/builder",
 "sizes": {"a": 100000000, "b": 50000000, "x": 100000},
 "composites": {"x@1": ["a@1", "b@1"], "x@2": ["a@2", "b@1"]},
 "releases": [
  {"version": "1", "date": "2024-01-01T00:00:00Z", "buildpacks": ["x@1"]},
  {"version": "2", "date": "2024-01-02T00:00:00Z", "buildpacks": ["x@2"]}
 ]
}`

var _ = Describe("builder simulate", func() {
	var file string

	BeforeEach(func() {
		file = filepath.Join(GinkgoT().TempDir(), "history.json")
		Expect(os.WriteFile(file, []byte(twoReleases), 0o644)).To(Succeed())
	})

	It("tells all that is wrong with a history, a line each", func() {
		Expect(os.WriteFile(file, []byte("{}"), 0o644)).To(Succeed())
		r := laminate("builder", "simulate", "--history", file)
		Expect(r.stderr).To(Equal("laminate: 2 problems:\n   " + file + ": builder is missing\n   " + file + ": invalid number of releases: 0; the range is 1 to 20000\n"))
		Expect(os.WriteFile(file, []byte("[]"), 0o644)).To(Succeed())
		Expect(laminate("builder", "simulate", "--history", file).stderr).To(HavePrefix("laminate: " + file + ": invalid history; create one with `laminate builder history`: "))
	})

	It("prints a table", func() {
		r := laminate("builder", "simulate", "--history", file, "--plan", "exploded,all", "--plan", "auto", "--buildpack-layers", "1,3", "--buildpack-layers", "2,2")
		Expect(r.stderr).To(BeEmpty())
		Expect(r.code).To(BeZero())
		Expect(r.stdout).To(Equal(`acme/builder, 1 to 2: MB that are pulled per release, over 1 step
  plan      budget  layers  median   mean    p50    p95  ten later  prefix
  exploded     any       3       3  100.1  100.1  100.1          -   150.1
  all          any       1       1  150.1  150.1  150.1          -   150.1
  auto           1       1       1  150.1  150.1  150.1          -   150.1
  auto           3       3       3  100.1  100.1  100.1          -   150.1
  auto           2       2       2  150.1  150.1  150.1          -   150.1
layers, median: how many the buildpacks take, at most and mostly
mean, p50, p95: from a release to the next; ten later: to the tenth after it (mean)
prefix: the mean where only the lowest layers that are the same are reused, as Docker's own store does
`))
	})

	It("prints markdown", func() {
		r := laminate("builder", "simulate", "--history", file, "--plan", "all", "--output", "markdown")
		Expect(r.stdout).To(Equal(`acme/builder, 1 to 2: MB that are pulled per release, over 1 step

| plan | budget | layers | median | mean | p50 | p95 | ten later | prefix |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| all | any | 1 | 1 | 150.1 | 150.1 | 150.1 | - | 150.1 |
`))
	})

	It("prints JSON, a row for each plan and budget", func() {
		r := laminate("builder", "simulate", "--history", file, "--plan", "exploded", "--plan", "auto", "--buildpack-layers", "2", "--buildpack-layers", "3", "--output=json")
		var result struct {
			Rows []struct {
				Plan                       string
				BuildpackLayers, LayersMax int
				MeanBytes, MeanBytesPrefix int64
				P50Bytes, P95Bytes         int64
				MeanBytesTenLater          int64
				LayersMedian               int
			}
		}
		Expect(json.Unmarshal([]byte(r.stdout), &result)).To(Succeed())
		Expect(result.Rows).To(HaveLen(4))
		last := result.Rows[3]
		Expect([]any{last.Plan, last.BuildpackLayers, last.LayersMax, last.LayersMedian, last.MeanBytes}).To(Equal([]any{"auto", 3, 3, 3, int64(100100000)}))
		Expect(result.Rows[0].BuildpackLayers).To(Equal(2), "exploded has a row for each budget too")
	})

	It("draws a real history", func() {
		real := filepath.Join(fixtures.Root(), "history", "jammy-full.json.gz")
		r := laminate("builder", "simulate", "--history", real, "--from", "0.3.630", "--plan", "composites", "--output", "svg")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(xml.Unmarshal([]byte(r.stdout), new(struct{}))).To(Succeed())
		Expect(r.stdout).To(ContainSubstring("paketobuildpacks/builder-jammy-full, 0.3.630 to 0.3.639"))
	})

	DescribeTable("tells what is wrong", func(code int, want string, args ...string) {
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "FILE", file)
		}
		r := laminate(append([]string{"builder", "simulate"}, args...)...)
		Expect(r.code).To(Equal(code))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(ContainSubstring(want))
	},
		Entry("no file", 2, "--history is missing; name the file with the releases"),
		Entry("an argument", 2, `unexpected argument "more"`, "--history", "FILE", "more"),
		Entry("an unknown plan", 2, `unknown --plan "best"; write one of exploded, pack, composites`, "--history", "FILE", "--plan", "best"),
		Entry("an unknown output", 2, `invalid value "pdf" for --output; write text, json, markdown or svg`, "--history", "FILE", "--output", "pdf"),
		Entry("no number", 2, `invalid --buildpack-layers "few"; write a number from 1 on`, "--history", "FILE", "--buildpack-layers", "40,few"),
		Entry("no layers", 2, `invalid --buildpack-layers "0"; write a number from 1 on`, "--history", "FILE", "--buildpack-layers", "0"),
		Entry("a file that is not there", 1, "no such file or directory", "--history", "FILE.gone"),
		Entry("a release that is not there", 1, "unknown release 7 in the history of acme/builder", "--history", "FILE", "--from", "7"),
	)

	It("tells which file is wrong", func() {
		Expect(os.WriteFile(file, []byte(strings.Replace(twoReleases, `"b": 50000000`, `"b": -1`, 1)), 0o644)).To(Succeed())
		r := laminate("builder", "simulate", "--history", file)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(Equal("laminate: " + file + ": size of b: invalid size -1; the range is 0 to 1099511627776\n"))
	})
})
