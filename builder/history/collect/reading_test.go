package collect_test

import (
	"context"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history/collect"
	"laminate/flatten"
)

// golden is the history of the two builders below.
const golden = `{
 "builder": "acme/builder",
 "notes": {
  "source": "manifests and labels of the repository's version tags",
  "platform": "linux/amd64",
  "sizes": "compressed bytes, from the manifests: of a buildpack's own layer, in the newest release in which it has one; otherwise its part of the shared layer in the newest release, by uncompressed length where laminate's label gives it, else in equal parts",
  "left_out": [
   "0.9.0"
  ]
 },
 "sizes": {
  "acme/a@1": 33,
  "acme/all@1": 34,
  "acme/b@1": 40,
  "acme/lone@1": 34,
  "acme/proc@1": 7,
  "acme/sys@1": 8,
  "acme/tool@2": 68
 },
 "composites": {
  "acme/all@1": [
   "acme/b@1",
   "acme/a@1"
  ]
 },
 "releases": [
  {
   "version": "1.0.0",
   "lifecycle": "0.20.1",
   "buildpacks": [
    "acme/all@1"
   ],
   "layers": [
    {
     "digest": "sha256:01d448afd928065458cf670b60f5a594d735af0172c8d67f22a81680132681ca",
     "size": 10
    },
    {
     "digest": "DIGEST-A",
     "size": 100,
     "refs": [
      "acme/a@1",
      "acme/all@1"
     ]
    },
    {
     "digest": "DIGEST-B",
     "size": 40,
     "refs": [
      "acme/b@1"
     ]
    }
   ]
  },
  {
   "version": "1.1.0",
   "date": "2024-05-06T07:08:09Z",
   "lifecycle": "0.20.1",
   "build_image": "acme/build:7",
   "buildpacks": [
    "acme/proc@1",
    "acme/all@1",
    "acme/sys@1",
    "acme/lone@1",
    "acme/tool@2"
   ],
   "layers": [
    {
     "digest": "sha256:01d448afd928065458cf670b60f5a594d735af0172c8d67f22a81680132681ca",
     "size": 10
    },
    {
     "digest": "DIGEST-C",
     "size": 101,
     "refs": [
      "acme/a@1",
      "acme/all@1",
      "acme/b@1"
     ]
    },
    {
     "digest": "DIGEST-D",
     "size": 102,
     "refs": [
      "acme/lone@1",
      "acme/tool@2"
     ]
    },
    {
     "digest": "DIGEST-E",
     "size": 7,
     "refs": [
      "acme/proc@1"
     ]
    },
    {
     "digest": "DIGEST-F",
     "size": 8,
     "refs": [
      "acme/sys@1"
     ]
    }
   ]
  }
 ]
}
`

var _ = Describe("a builder's image", func() {
	var repo repository

	BeforeEach(func() { repo = newRepository() })

	It("is told in a history file", func() {
		first := sample{
			order: "acme/all", orders: map[string]string{"acme/all@1": "acme/b@1 acme/a acme/b@1"},
			parts: []part{{refs: "acme/a@1 acme/all@1", size: 100}, {refs: "acme/b@1", size: 40}},
		}
		second := sample{
			order: "acme/proc@1 acme/all@1 acme/proc@1", orders: first.orders,
			parts: []part{
				{refs: "acme/b@1 acme/a@1 acme/all@1", size: 101},
				{refs: "acme/lone@1 acme/tool@2", size: 102, lengths: []int64{512, 1024}},
				{refs: "acme/proc@1", size: 7}, {refs: "acme/sys@1", size: 8},
			},
			created: time.Date(2024, 5, 6, 9, 8, 9, 1, time.FixedZone("", 7200)),
			labels:  map[string]string{flatten.SystemLabel: `{"pre":{"buildpacks":[{"id":"acme/sys","version":"1"}]},"post":{}}`},
			notes:   map[string]string{"org.opencontainers.image.base.name": "acme/build:7"},
		}
		repo.write("1.0.0", first)
		repo.write("1.1.0", second)
		repo.write("0.9.0", sample{})
		want := golden
		for i, l := range append(layersOf(first.image()), layersOf(second.image())...) {
			want = strings.Replace(want, "DIGEST-"+string(rune('A'+i)), l, 1)
		}
		_, text := collected(repo.options())
		Expect(text).To(Equal(want))
		Expect(written(reread(text))).To(Equal(text))
	})

	It("says in its config when it was made, or else in its manifest", func() {
		annotated := simple("1")
		annotated.notes = map[string]string{"org.opencontainers.image.created": "2024-05-06T07:08:09+02:00"}
		constant := simple("2")
		constant.created = time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)
		wrong := simple("3")
		wrong.notes = map[string]string{"org.opencontainers.image.created": "9999-12-31T23:59:59-23:00"}
		for v, s := range map[string]sample{"1.0.0": annotated, "2.0.0": constant, "3.0.0": wrong} {
			repo.write(v, s)
		}
		result, _ := collected(repo.options())
		Expect(result.History.Releases[0].Date).To(Equal(time.Date(2024, 5, 6, 5, 8, 9, 0, time.UTC)))
		Expect(result.History.Releases[1].Date).To(BeZero())
		Expect(result.History.Releases[2].Date).To(BeZero())
	})

	It("does not put into the file what is no text for it", func() {
		odd := simple("1")
		odd.labels = map[string]string{flatten.BuilderMetadataLabel: `{"lifecycle":{"version":"1\n2"}}`}
		odd.notes = map[string]string{"org.opencontainers.image.base.name": strings.Repeat("x", 301)}
		repo.write("1.0.0", odd)
		result, _ := collected(repo.options())
		Expect(result.History.Releases[0].Lifecycle).To(BeEmpty())
		Expect(result.History.Releases[0].BuildImage).To(BeEmpty())
	})

	It("is divided by its label's lengths only where it speaks of the same refs, and the parts add up", func() {
		half := int64(1)<<62 - 512
		for v, p := range map[string]part{
			"1.0.0": {refs: "a@1 b@1 c@1", size: 100, lengths: []int64{512, 512, 1 << 40}},
			"1.1.0": {refs: "a@2 b@2", size: 101, lengths: []int64{half, half}},
			"1.2.0": {refs: "a@3 b@3 c@3", size: 100, lengths: []int64{half, half, half}},
		} {
			repo.write(v, sample{order: p.refs, parts: []part{p}})
		}
		foreign := sample{order: "a@4 b@4", parts: []part{{refs: "a@4 b@4", size: 10, lengths: []int64{512, 1024}}}}
		other := foreign
		other.parts = []part{{refs: "a@4 x@4", size: 10, lengths: []int64{512, 1024}}}
		config, err := other.image().ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		real, err := foreign.image().ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		recipes, err := flatten.ParseRecipesLabel(config.Config.Labels[flatten.RecipesLabelKey])
		Expect(err).NotTo(HaveOccurred())
		recipes[real.RootFS.DiffIDs[1]] = recipes[config.RootFS.DiffIDs[1]]
		foreign.labels = map[string]string{flatten.RecipesLabelKey: asJSON(recipes)}
		repo.write("1.3.0", foreign)
		result, _ := collected(repo.options())
		Expect(result.LeftOut).To(BeZero())
		Expect(result.History.Sizes).To(Equal(map[flatten.Ref]int64{
			ref("a@1"): 0, ref("b@1"): 0, ref("c@1"): 100,
			ref("a@2"): 50, ref("b@2"): 51,
			ref("a@3"): 33, ref("b@3"): 33, ref("c@3"): 34, // together too long to be true
			ref("a@4"): 5, ref("b@4"): 5,
		}))
	})

	DescribeTable("is left out", func(spoil func(*sample), want string) {
		repo.write("1.0.0", simple("1"))
		bad := simple("2")
		spoil(&bad)
		repo.write("1.1.0", bad)
		o, log := repo.options(), newWarnings()
		o.Builder, o.Log = repo.name, log
		result, _ := collected(o)
		Expect(versionsOf(result.History)).To(Equal([]string{"1.0.0"}))
		Expect(result.LeftOut).To(Equal(1))
		Expect(log.all).To(HaveLen(1))
		Expect(log.all[0]).To(HavePrefix(repo.name + ":1.1.0 skipped: " + want))
	},
		Entry("that is no builder", label(flatten.BuilderMetadataLabel, ""), "not a builder: missing label io.buildpacks.builder.metadata"),
		Entry("with metadata that cannot be read", label(flatten.BuilderMetadataLabel, "{"), "label io.buildpacks.builder.metadata: unexpected end"),
		Entry("without buildpacks", label(flatten.BuildpackLayersLabel, ""), "no buildpacks"),
		Entry("with layers that cannot be read", label(flatten.BuildpackLayersLabel, "[]"), "layers label: json: cannot unmarshal array"),
		Entry("with a buildpack in no layer", label(flatten.BuildpackLayersLabel, `{"x":{"1":{"api":"0.10","layerDiffID":"sha256:`+strings.Repeat("0", 64)+`"}}}`), "label says that x@1 is in layer sha256:000"),
		Entry("with an order that cannot be read", label(flatten.OrderLabel, "7"), "label io.buildpacks.buildpack.order: json: cannot unmarshal number"),
		Entry("with an order of what it has not", label(flatten.OrderLabel, `[{"group":[{"id":"x"}]}]`), "order names x, which has 0 matches"),
		Entry("with system buildpacks that cannot be read", label(flatten.SystemLabel, "7"), "label io.buildpacks.buildpack.system: json: cannot unmarshal number"),
		Entry("with a composite of what it has not", func(s *sample) { s.orders["acme/all@2"] += " acme/x@1" }, "composite acme/all@2: missing buildpack acme/x@1"),
		Entry("whose orders have a cycle", func(s *sample) { s.orders["acme/a@2"] = "acme/all@2" }, "composite acme/a@2: cycle in order"),
		Entry("whose orders have a cycle beside all others", func(s *sample) {
			s.orders["x@1"], s.orders["y@1"] = "y@1", "x@1"
			s.parts = append(s.parts, part{refs: "x@1 y@1", size: 30})
		}, "release 1.1.0: layer 5: buildpack x@1 is in another layer as well, or not in the release"),
		Entry("with too many buildpacks", func(s *sample) {
			var many strings.Builder
			for i := range 2001 {
				many.WriteString(" x@" + time.Unix(int64(i), 0).UTC().Format("150405"))
			}
			s.parts = append(s.parts, part{refs: many.String(), size: 30_000})
		}, "layers label: too many modules: 2004, the limit is 2000"),
	)

	It("is left out with the older one, where two releases contradict each other", func() {
		repo.write("1.0.0", simple("1"))
		other := simple("1")
		other.orders["acme/all@1"] = "acme/b@1 acme/a@1"
		repo.write("1.1.0", other)
		o, log := repo.options(), newWarnings()
		o.Log = log
		result, text := collected(o)
		Expect(versionsOf(result.History)).To(Equal([]string{"1.1.0"}))
		Expect(log.all).To(Equal([]string{"acme/builder:1.0.0 skipped: composite acme/all@1 differs from that in other releases"}))
		Expect(text).To(ContainSubstring(`"left_out": [
   "1.0.0"
  ]`))
	})

	It("is left out where the registry has lost it, or gives another config", func() {
		repo.write("1.0.0", simple("1"))
		repo.write("1.1.0", simple("2"))
		repo.write("1.2.0", simple("3"))
		config, err := simple("3").image().ConfigName()
		Expect(err).NotTo(HaveOccurred())
		repo.Before(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/manifests/1.1.0"):
				w.WriteHeader(http.StatusNotFound)
			case strings.HasSuffix(r.URL.Path, config.String()):
				raw, err := simple("3").image().RawConfigFile()
				Expect(err).NotTo(HaveOccurred())
				_, _ = w.Write([]byte(strings.Replace(string(raw), "0.20.1", "0.20.2", 1)))
			default:
				return false
			}
			return true
		})
		o, log := repo.options(), newWarnings()
		o.Builder, o.Log = repo.name, log
		result, _ := collected(o)
		Expect(versionsOf(result.History)).To(Equal([]string{"1.0.0"}))
		Expect(log.all).To(ConsistOf(HavePrefix(repo.name+":1.1.0 skipped: registry "), HavePrefix(repo.name+":1.2.0 skipped: error verifying sha256 checksum")))
	})

	It("is told of one by one only at first", func() {
		for i := range 25 {
			repo.write("1.0."+string(rune('0'+i/10))+"-"+string(rune('a'+i)), sample{labels: map[string]string{flatten.BuilderMetadataLabel: ""}})
		}
		repo.write("2.0.0", simple("1"))
		o, log := repo.options(), newWarnings()
		o.Log = log
		result, _ := collected(o)
		Expect(result.LeftOut).To(Equal(25))
		Expect(log.all).To(HaveLen(21))
		Expect(log.all[20]).To(Equal("acme/builder: 5 more versions skipped"))
	})

	It("has to be there, of some version", func() {
		repo.write("latest", simple("1"))
		_, err := collect.Run(context.Background(), repo.options())
		Expect(err).To(MatchError("acme/builder: none of its tags is a version"))
	})
})

// label sets a label of the sample.
func label(key, value string) func(*sample) {
	return func(s *sample) { s.labels = map[string]string{key: value} }
}

// layersOf returns the digests of all layers but the lowest.
func layersOf(img v1.Image) (digests []string) {
	GinkgoHelper()
	m, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	for _, l := range m.Layers[1:] {
		digests = append(digests, l.Digest.String())
	}
	return digests
}
