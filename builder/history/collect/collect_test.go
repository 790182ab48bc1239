package collect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history"
	"laminate/builder/history/collect"
	"laminate/builder/simulate"
	"laminate/fixtures"
	"laminate/flatten"
)

var _ = Describe("collecting", func() {
	var repo repository

	BeforeEach(func() { repo = newRepository() })

	It("asks for each manifest and each config once, and for no layer", func() {
		for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
			repo.write(v, simple(v))
		}
		repo.write("latest", simple("2.0.0"))
		repo.Reset()
		result, _ := collected(repo.options())
		Expect(versionsOf(result.History)).To(Equal([]string{"1.0.0", "1.1.0", "2.0.0"}))
		Expect([]int{result.Read, result.LeftOut, result.Others}).To(Equal([]int{3, 0, 1}))
		Expect(repo.Count(http.MethodGet, fixtures.Manifest)).To(Equal(3))
		Expect(repo.Count(http.MethodGet, fixtures.Blob)).To(Equal(3))
		down, _ := repo.Layers()
		Expect(down).To(BeZero())
		Expect(repo.Count(http.MethodGet, fixtures.Ping)).To(Equal(2), "one login, and the tags")
		Expect(repo.Requests(func(r fixtures.Request) bool { return r.Method != http.MethodGet })).To(BeEmpty())
	})

	It("returns what simulate replays", func() {
		for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
			repo.write(v, simple(v))
		}
		result, _ := collected(repo.options())
		scored, err := simulate.Run(context.Background(), simulate.Options{History: result.History, Plans: []string{"exploded", "all"}, Budgets: []int{5}})
		Expect(err).NotTo(HaveOccurred())
		Expect([]int64{scored.Rows[0].MeanBytes, scored.Rows[1].MeanBytes}).To(Equal([]int64{120, 170}), "all but b, which is the same")
	})

	It("reads only what is new", func() {
		repo.write("1.0.0", simple("1.0.0"))
		repo.write("1.1.0", simple("1.1.0"))
		_, first := collected(repo.options())
		repo.write("1.2.0", simple("1.2.0"))
		repo.Reset()
		o := repo.options()
		o.Have = reread(first)
		result, second := collected(o)
		Expect(result.Read).To(Equal(1))
		Expect(repo.Count(http.MethodGet, fixtures.Manifest)).To(Equal(1))
		Expect(repo.Count(http.MethodGet, fixtures.Blob)).To(Equal(1))
		_, whole := collected(repo.options())
		Expect(second).To(Equal(whole))

		repo.Reset()
		o.Have, o.Save = reread(second), func(*history.File) error { return errors.New("nothing is new") }
		_, third := collected(o)
		Expect(third).To(Equal(second))
		Expect(len(repo.Requests(nil))).To(Equal(1), "the tags; the login is the one of before")
	})

	It("returns the same in whatever steps it was collected", func() {
		random := rand.New(rand.NewPCG(1, 2))
		versions := []string{"0.1.0", "0.2.0-rc.1", "0.2.0", "0.10.0", "1.0.0", "1.1.0"}
		for i, v := range versions {
			s := simple(v)
			switch i % 3 { // the size of b differs in each, and so does what tells it
			case 0:
				s.parts[1].size += i
			case 1:
				s.parts = []part{{refs: s.parts[0].refs + " acme/b@1", size: 150 + i}, s.parts[2]}
			case 2:
				s.parts = []part{{refs: s.parts[0].refs + " acme/b@1", size: 150 + i, lengths: []int64{512, 1024}}, s.parts[2]}
			}
			repo.write(v, s)
		}
		repo.write("0.3.0", sample{labels: map[string]string{flatten.BuilderMetadataLabel: ""}})
		_, whole := collected(repo.options())
		Expect(whole).To(ContainSubstring(`"acme/b@1": 53`), "of 0.10.0, the newest in which it has its own layer")
		for range 20 {
			o := repo.options()
			for _, last := range append(random.Perm(len(versions))[:3], 0) {
				o.Last, o.Jobs = last, 1+random.IntN(3)
				_, text := collected(o)
				o.Have = reread(text)
			}
			Expect(written(o.Have)).To(Equal(whole))
		}
	})

	It("leaves out what is older than a version, or than the last ones", func() {
		for _, v := range []string{"1.0.0", "1.1.0-rc.1", "1.1.0", "1.2.0", "2.0.0"} {
			repo.write(v, simple(v))
		}
		for want, o := range map[string]collect.Options{
			"1.1.0 1.2.0 2.0.0":            {Since: "1.1.0"},
			"1.1.0-rc.1 1.1.0 1.2.0 2.0.0": {Since: "v1.1.0-a"},
			"1.2.0 2.0.0":                  {Since: "1.2"},
			"2.0.0":                        {Since: "1.1.0", Last: 1},
			"1.1.0 1.2.0 2.0.0 ":           {Last: 3},
			"1.2.0 2.0.0 ":                 {Since: "1.2.0", Last: 100},
		} {
			all := repo.options()
			all.Since, all.Last = o.Since, o.Last
			repo.Reset()
			result, _ := collected(all)
			Expect(versionsOf(result.History)).To(Equal(strings.Fields(want)))
			Expect(repo.Count(http.MethodGet, fixtures.Manifest)).To(Equal(result.Read))
		}
		o := repo.options()
		o.Since = "3.0.0"
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError("acme/builder: no version is 3.0.0 or newer"))
	})

	It("leaves out what was made before a date, as far as images say it", func() {
		for i, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
			s := simple(v)
			s.created = time.Date(2024, time.Month(i+1), 1, 0, 0, 0, 0, time.UTC)
			if i == 0 {
				s.created = time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)
			}
			repo.write(v, s)
		}
		o := repo.options()
		o.Jobs, o.After = 1, time.Date(2024, 2, 15, 0, 0, 0, 0, time.UTC)
		result, text := collected(o)
		Expect(versionsOf(result.History)).To(Equal([]string{"1.2.0", "1.3.0"}))
		Expect(result.History.Releases[0].Date).To(Equal(time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)))

		o.Have, o.After = reread(text), time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError("acme/builder:1.0.0 has no creation date; limit by version instead"))
		o.After = time.Date(2024, 3, 15, 0, 0, 0, 0, time.UTC)
		repo.Reset()
		collected(o)
		Expect(repo.Count(http.MethodGet, fixtures.Manifest)).To(BeZero(), "what is there tells that all else is older")
	})

	It("takes the image of an index that is for the platform", func() {
		other := simple("9")
		other.arch = "arm64"
		index := mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{Add: other.image(), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
			mutate.IndexAddendum{Add: simple("1").image(), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
		repo.writeIndex("1.0.0", index)
		repo.write("1.1.0", other)
		o, log := repo.options(), newWarnings()
		o.Log = log
		result, _ := collected(o)
		Expect(result.History.Releases).To(HaveLen(1))
		Expect(result.History.Releases[0].Buildpacks).To(Equal([]flatten.Ref{ref("acme/all@1")}))
		Expect(log.all).To(ConsistOf("acme/builder:1.1.0 skipped: " + repo.name + ":1.1.0: platform is linux/arm64, expected linux/amd64"))
		o.Target.Arch = "arm64"
		result, _ = collected(o)
		Expect(versionsOf(result.History)).To(Equal([]string{"1.0.0", "1.1.0"}))
		o.Target.Arch = "s390x"
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError("acme/builder: none of the 2 versions is a builder for linux/s390x"))
	})

	It("goes on from what was saved when the registry failed", func() {
		var versions []string
		for i := range 10 {
			versions = append(versions, fmt.Sprintf("1.%d.0", i))
			repo.write(versions[i], simple(versions[i]))
		}
		repo.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/manifests/1.4.0") {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		})
		o := repo.options()
		o.Jobs = 1
		var saved []string
		o.Save = func(f *history.File) error {
			saved = append(saved, written(f))
			return nil
		}
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError(ContainSubstring(":1.4.0: registry " + repo.Host + ": 403 Forbidden")))
		Expect(saved).To(HaveLen(1))
		Expect(versionsOf(reread(saved[0]))).To(Equal(versions[5:]))
		repo.Before(nil)
		o.Have = reread(saved[0])
		result, again := collected(o)
		Expect(result.Read).To(Equal(5))
		Expect(saved[len(saved)-1]).To(Equal(again))
		_, whole := collected(repo.options())
		Expect(again).To(Equal(whole))
	})

	It("saves every now and then", func() {
		for i := range 70 {
			repo.write(fmt.Sprintf("1.%d.0", i), simple("1"))
		}
		o := repo.options()
		o.Jobs = 2
		var saved []int
		o.Save = func(f *history.File) error {
			saved = append(saved, len(f.Releases))
			return nil
		}
		collected(o)
		Expect(saved).To(Equal([]int{32, 64, 70}))
	})

	It("ends at once when it is cancelled", func() {
		for _, v := range []string{"1.0.0", "1.1.0"} {
			repo.write(v, simple(v))
		}
		ctx, cancel := context.WithCancel(context.Background())
		repo.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				cancel()
				<-r.Context().Done()
				return true
			}
			return false
		})
		began := time.Now()
		_, err := collect.Run(ctx, repo.options())
		Expect(err).To(MatchError(context.Canceled))
		Expect(time.Since(began)).To(BeNumerically("<", 5*time.Second))
	})

	It("ends with the error of who saves", func() {
		repo.write("1.0.0", simple("1.0.0"))
		o := repo.options()
		o.Save = func(*history.File) error { return errors.New("no room") }
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError("no room"))
	})

	DescribeTable("does not go on with another history", func(change func(*history.File, *collect.Options), want string) {
		repo.write("1.0.0", simple("1.0.0"))
		o := repo.options()
		result, _ := collected(o)
		o.Have = result.History
		change(o.Have, &o)
		_, err := collect.Run(context.Background(), o)
		Expect(err).To(MatchError(want))
	},
		Entry("of another builder", func(f *history.File, _ *collect.Options) { f.Builder = "acme/other" },
			"the existing history is of acme/other for linux/amd64, not of acme/builder for linux/amd64"),
		Entry("of another platform", func(_ *history.File, o *collect.Options) { o.Target.Arch = "arm64" },
			"the existing history is of acme/builder for linux/amd64, not of acme/builder for linux/arm64"),
		Entry("that somebody made by hand", func(f *history.File, _ *collect.Options) { f.Notes = nil },
			"the existing history of acme/builder was not collected from a registry; use another file"),
	)
})
