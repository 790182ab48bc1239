package flatten_test

import (
	"encoding/json"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// hash is a digest made of one hexadecimal digit.
func hash(digit string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}
}

func asJSON(value any) string {
	GinkgoHelper()
	b, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

var _ = Describe("the layers label", func() {
	full := flatten.Module{
		Kind: flatten.Buildpack, API: "0.10",
		Info: flatten.Info{
			ID: "acme/full", Name: "Full", Version: "1", Homepage: "https://acme.example", Description: "not here",
			Keywords: []string{"nor", "these"}, Licenses: []flatten.License{{Type: "MIT", URI: "https://mit.example"}},
		},
		Stacks:  []flatten.Stack{{ID: "io.s", Mixins: []string{"m"}}, {ID: "*"}},
		Targets: []flatten.Target{{OS: "linux", Arch: "arm", Variant: "v7", Distros: []flatten.Distro{{Name: "ubuntu", Version: "24.04"}}}, {OS: "linux"}},
	}
	both := composite("acme/both@2", []flatten.Entry{{ID: "acme/full", Version: "1", Optional: true, ExecEnv: []string{"test"}}, {ID: "x"}})

	It("is written key by key in one order, without what is not there", func() {
		l := flatten.LayersLabel{}
		l.Add(full, hash("a"))
		l.Add(both, hash("a"))
		l.Add(component("acme/full@2"), hash("b"))
		a, b := hash("a").String(), hash("b").String()
		Expect(asJSON(l)).To(Equal(`{"acme/both":{"2":{"api":"0.10","order":[{"group":[` +
			`{"id":"acme/full","version":"1","exec-env":["test"],"optional":true},{"id":"x"}]}],"layerDiffID":"` + a + `"}},` +
			`"acme/full":{"1":{"api":"0.10","stacks":[{"id":"io.s","mixins":["m"]},{"id":"*"}],` +
			`"targets":[{"os":"linux","arch":"arm","variant":"v7","distros":[{"name":"ubuntu","version":"24.04"}]},{"os":"linux","arch":""}],` +
			`"layerDiffID":"` + a + `","homepage":"https://acme.example","name":"Full"},` +
			`"2":{"api":"0.10","layerDiffID":"` + b + `"}}}`))
		Expect(asJSON(flatten.LayersLabel{})).To(Equal("{}"))
	})

	It("returns what went in, but for what it does not carry", func() {
		l := flatten.LayersLabel{}
		l.Add(full, hash("a"))
		l.Add(both, hash("b"))
		again, err := flatten.ParseLayersLabel(asJSON(l))
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(l))
		Expect(again.Refs()).To(Equal(rs("acme/both@2", "acme/full@1")))
		want := full
		want.Info.Description, want.Info.Keywords, want.Info.Licenses = "", nil, nil
		Expect(again.Module(flatten.Buildpack, full.Ref())).To(Equal(want))
		Expect(again.Module(flatten.Extension, both.Ref()).Kind).To(Equal(flatten.Extension))
		Expect(again.Module(flatten.Buildpack, both.Ref()).Order).To(Equal(both.Order))
	})

	It("has a key for each kind", func() {
		Expect(flatten.Buildpack.LayersLabelKey()).To(Equal("io.buildpacks.buildpack.layers"))
		Expect(flatten.Extension.LayersLabelKey()).To(Equal("io.buildpacks.extension.layers"))
	})

	id := hash("a").String()
	DescribeTable("is refused", func(value string, messages ...string) {
		_, err := flatten.ParseLayersLabel(value)
		Expect(err).To(HaveOccurred())
		Expect(strings.Split(err.Error(), "\n")).To(HaveLen(len(messages)))
		for _, m := range messages {
			Expect(err).To(MatchError(ContainSubstring(m)))
		}
	},
		Entry("empty", "", "layers label: unexpected end of JSON input"),
		Entry("as a list", "[]", "layers label: json: cannot unmarshal array"),
		Entry("with text behind", "{} x", "layers label: invalid character 'x' after top-level value"),
		Entry("cut short", `{"a":{"1":`, "layers label: unexpected end of JSON input"),
		Entry("with a layer of another type", `{"a":{"1":7}}`, "layers label: json: cannot unmarshal number"),
		Entry("without a diffID", `{"a":{"1":{"api":"0.2"}}}`, "layers label: a@1: layerDiffID"),
		Entry("with a diffID that is none", `{"a":{"1":{"layerDiffID":"sha256:00"}}}`, "layers label: a@1: layerDiffID"),
		Entry("with a diffID of another kind", `{"a":{"1":{"layerDiffID":"md5:`+strings.Repeat("a", 32)+`"}}}`, "layers label: a@1: layerDiffID"),
		Entry("with an id that leads up", `{"../a":{"1":{"layerDiffID":"`+id+`"}}}`, `layers label: ../a@1: invalid id "../a"`),
		Entry("with a version that leads up", `{"a":{"..":{"layerDiffID":"`+id+`"}}}`, `layers label: a@..: invalid version ".."`),
		Entry("with everything at once", `{"a":{"..":{"layerDiffID":""},"1":{"layerDiffID":"x"}}}`, "a@..: invalid version", "a@..: layerDiffID", "a@1: layerDiffID"),
	)
})

var _ = Describe("the metadata label", func() {
	info := flatten.Info{
		ID: "acme/full", Name: "Full", Version: "1", Description: "d", Homepage: "h", Keywords: []string{"k"}, ExecEnv: []string{"production"},
		Licenses: []flatten.License{{Type: "MIT", URI: "u"}}, ClearEnv: true,
	}

	It("is written key by key in one order", func() {
		Expect(asJSON(flatten.Metadata{Info: info, Stacks: []flatten.Stack{{ID: "*"}}})).To(Equal(
			`{"id":"acme/full","name":"Full","version":"1","description":"d","homepage":"h","keywords":["k"],"exec-env":["production"],` +
				`"licenses":[{"Type":"MIT","URI":"u"}],"clear-env":true,"stacks":[{"id":"*"}]}`))
	})

	It("names stacks always, null where there are none", func() {
		Expect(asJSON(flatten.Metadata{Info: flatten.Info{ID: "x", Version: "1"}})).To(Equal(`{"id":"x","version":"1","stacks":null}`))
	})

	It("is read as it was written", func() {
		m := flatten.Metadata{Info: info, Stacks: []flatten.Stack{{ID: "s", Mixins: []string{"m"}}}}
		Expect(flatten.ParseMetadata(asJSON(m))).To(Equal(m))
	})

	DescribeTable("is refused", func(value, message string) {
		m, err := flatten.ParseMetadata(value)
		Expect(m).To(BeZero())
		Expect(err).To(MatchError(ContainSubstring("buildpackage metadata label: " + message)))
	},
		Entry("empty", "", "unexpected end of JSON input"),
		Entry("as null, which names nothing", "null", "id is missing"),
		Entry("of another type", `"x"`, "json: cannot unmarshal string"),
		Entry("without a version", `{"id":"x"}`, "version is missing"),
		Entry("with an id that leads up", `{"id":"../x","version":"1"}`, `invalid id "../x"`),
	)
})
