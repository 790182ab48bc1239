package history_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history"
	"laminate/fixtures"
	"laminate/flatten"
)

func r(s string) flatten.Ref {
	id, version, _ := strings.Cut(s, "@")
	return flatten.Ref{ID: id, Version: version}
}

func rs(names ...string) []flatten.Ref {
	var refs []flatten.Ref
	for _, n := range names {
		refs = append(refs, r(n))
	}
	return refs
}

// small is a history of two releases; the second was looked at in its registry.
const small = `{
 "builder": "acme/builder",
 "notes": {"source": "made up"},
 "sizes": {"acme/a": 100, "acme/a@2": 120, "acme/all": 1, "acme/b": 50},
 "composites": {"acme/all@1": ["acme/a@1", "acme/b@1"], "acme/all@2": ["acme/a@2", "acme/b@1"]},
 "releases": [
  {"version": "1", "date": "2024-01-01T00:00:00Z", "buildpacks": ["acme/all@1"]},
  {"version": "2", "date": "2024-02-01T00:00:00+01:00", "lifecycle": "0.20.0", "build_image": "acme/build:2", "buildpacks": ["acme/all@2", "acme/b@1"],
   "layers": [{"digest": "sha256:` + zeros + `", "size": 7}, {"digest": "sha256:` + zeros + `", "size": 200, "refs": ["acme/all@2", "acme/a@2", "acme/b@1"]}]}
 ]
}`

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

var _ = Describe("a history file", func() {
	It("is read", func() {
		f, err := history.Read(strings.NewReader(small))
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Builder).To(Equal("acme/builder"))
		Expect(f.Notes).To(MatchJSON(`{"source": "made up"}`))
		Expect(f.Releases).To(HaveLen(2))
		second := f.Releases[1]
		Expect([]string{second.Version, second.Lifecycle, second.BuildImage}).To(Equal([]string{"2", "0.20.0", "acme/build:2"}))
		Expect(second.Layers).To(Equal([]history.Layer{
			{Digest: "sha256:" + zeros, Size: 7},
			{Digest: "sha256:" + zeros, Size: 200, Refs: rs("acme/all@2", "acme/a@2", "acme/b@1")},
		}))
		for ref, want := range map[string]int64{"acme/a@1": 100, "acme/a@2": 120, "acme/b@9": 50} {
			size, known := f.Size(r(ref))
			Expect(known).To(BeTrue())
			Expect(size).To(Equal(want), ref)
		}
	})

	It("expands its releases, with owner sets", func() {
		f, err := history.Read(strings.NewReader(small))
		Expect(err).NotTo(HaveOccurred())
		e := f.Expansions()
		Expect(e[0].Refs).To(Equal(rs("acme/all@1", "acme/a@1", "acme/b@1")))
		Expect(e[0].Owners[r("acme/b@1")]).To(Equal(rs("acme/all@1")))
		Expect(e[1].Refs).To(Equal(rs("acme/all@2", "acme/a@2", "acme/b@1")))
		Expect(e[1].Owners[r("acme/b@1")]).To(Equal(rs("acme/b@1")), "a top-level component owns itself")
	})

	It("need not say when a release was made", func() {
		undated := strings.Replace(small, `"date": "2024-01-01T00:00:00Z", `, ``, 1)
		f, err := history.Read(strings.NewReader(undated))
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Releases[0].Date).To(BeZero())
		var out bytes.Buffer
		Expect(f.Write(&out)).To(Succeed())
		Expect(out.String()).To(MatchJSON(undated))
	})

	It("comes out as it went in", func() {
		f, err := history.Read(strings.NewReader(small))
		Expect(err).NotTo(HaveOccurred())
		var out bytes.Buffer
		Expect(f.Write(&out)).To(Succeed())
		Expect(out.String()).To(MatchJSON(small))
		again, err := history.Read(bytes.NewReader(out.Bytes()))
		Expect(err).NotTo(HaveOccurred())
		var twice bytes.Buffer
		Expect(again.Write(&twice)).To(Succeed())
		Expect(twice.Bytes()).To(Equal(out.Bytes()))
	})

	It("of a real builder is read, gzipped", func() {
		in, err := os.Open(filepath.Join(fixtures.Root(), "history", "jammy-full.json.gz"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(in.Close)
		f, err := history.Read(in)
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Releases).To(HaveLen(692))
		e := f.Expansions()
		Expect(e[691].TopLevel).To(HaveLen(10))
		var most int
		for _, expansion := range e {
			most = max(most, len(expansion.Refs))
		}
		Expect(most).To(Equal(112))
	})

	DescribeTable("is refused", func(from, to, want string) {
		Expect(small).To(ContainSubstring(from))
		_, err := history.Read(strings.NewReader(strings.Replace(small, from, to, 1)))
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("that is no JSON", "{", "[", "invalid history; create one with `laminate builder history`: "),
		Entry("with a key that nobody knows", `"notes"`, `"note"`, `unknown field "note"`),
		Entry("that goes on", `"made up"},`, `"made up"}}, 1`, "data after the JSON object"),
		Entry("without a name", `"acme/builder"`, `""`, "builder is missing"),
		Entry("with a ref of no size", `"acme/b": 50`, `"acme/c": 50`, "release 1: missing size of buildpack acme/b@1"),
		Entry("with a size below nothing", `"acme/b": 50`, `"acme/b": -1`, "size of acme/b: invalid size -1; the range is 0 to"),
		Entry("with a size beyond all bounds", `"acme/b": 50`, `"acme/b": 1099511627777`, "size of acme/b: invalid size 1099511627777"),
		Entry("with a size for what is no ref", `"acme/b": 50`, `"acme/b": 50, "acme b": 1`, `size of "acme b": invalid id "acme b"`),
		Entry("with a size for no version", `"acme/b": 50`, `"acme/b": 50, "acme/b@": 1`, `size of "acme/b@": invalid id "acme/b@"`),
		Entry("with a size twice", `"acme/b": 50`, `"acme/b": 50, "acme/b": 51`, `duplicate key "acme/b"`),
		Entry("with a composite twice", `"acme/all@2": [`, `"acme/all@1": [`, `duplicate key "acme/all@1"`),
		Entry("with a composite of nothing", `["acme/a@1", "acme/b@1"]`, `[]`, "composite acme/all@1: invalid number of buildpacks: 0; the range is 1 to 2000"),
		Entry("with a child twice", `["acme/a@1", "acme/b@1"]`, `["acme/a@1", "acme/a@1"]`, "composite acme/all@1: duplicate entry acme/a@1"),
		Entry("with a child that is no ref", `["acme/a@1", "acme/b@1"]`, `["../a@1"]`, `composite acme/all@1: "../a@1": invalid id "../a"`),
		Entry("with a child of no version", `["acme/a@1", "acme/b@1"]`, `["acme/a"]`, `composite acme/all@1: "acme/a": version is missing`),
		Entry("with a composite in itself", `["acme/a@1", "acme/b@1"]`, `["acme/all@1"]`, "release 1: composite acme/all@1: cycle in order"),
		Entry("with a release twice", `"version": "2"`, `"version": "1"`, "release 1: duplicate release"),
		Entry("with a release of no version", `"version": "2"`, `"version": ""`, "release 2: version is missing"),
		Entry("with a date that is none", `2024-01-01T00:00:00Z`, `yesterday`, "yesterday"),
		Entry("with a release of nothing", `"buildpacks": ["acme/all@1"]`, `"buildpacks": []`, "release 1: invalid number of buildpacks: 0"),
		Entry("with a layer of no digest", `sha256:`+zeros, `sha256:`, `release 2: layer 1: invalid digest "sha256:"`),
		Entry("with a layer of no bytes", `"size": 7`, `"size": -7`, "release 2: layer 1: invalid size -7; the range is 0"),
		Entry("with layers that lack a ref", `, "acme/b@1"]}]}`, `]}]}`, "release 2: buildpack acme/b@1 is in no layer"),
		Entry("with layers that have one twice", `"size": 7`, `"size": 7, "refs": ["acme/a@2"]`, "release 2: layer 2: buildpack acme/a@2 is in another layer as well"),
	)

	It("is refused when it is too large, gzipped or not", func() {
		_, err := history.ReadUpTo(strings.NewReader(small), int64(len(small))-1)
		Expect(err).To(MatchError(ContainSubstring("larger than the limit")))
		_, err = history.ReadUpTo(strings.NewReader(small), int64(len(small)))
		Expect(err).NotTo(HaveOccurred())
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err = w.Write([]byte(small + strings.Repeat(" ", 1<<20)))
		Expect(err).NotTo(HaveOccurred())
		Expect(w.Close()).To(Succeed())
		_, err = history.ReadUpTo(&zipped, 1<<16)
		Expect(err).To(MatchError(ContainSubstring("larger than the limit")))
	})

	It("is refused with the first problems of many, all at once", func() {
		var sizes strings.Builder
		for i := range 30 {
			sizes.WriteString(`"x ` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `": 1, `)
		}
		_, err := history.Read(strings.NewReader(strings.Replace(small, `"sizes": {`, `"sizes": {`+sizes.String(), 1)))
		Expect(err).To(MatchError(ContainSubstring("and 10 more problems")))
		Expect(strings.Count(err.Error(), "\n")).To(Equal(20))
	})
})
