package flatten_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// longForm writes a label as laminate did before the short form.
func longForm(l flatten.RecipesLabel) string {
	type piece struct {
		ID      string `json:"id"`
		Version string `json:"version"`
		Content string `json:"content"`
		Length  int64  `json:"length"`
	}
	type layer struct {
		Recipe string  `json:"recipe"`
		Pieces []piece `json:"pieces"`
	}
	long := map[string]layer{}
	for diffID, pieces := range l {
		r := layer{Recipe: flatten.Recipe(pieces).String()}
		for _, p := range pieces {
			r.Pieces = append(r.Pieces, piece{p.Ref.ID, p.Ref.Version, p.ContentID.String(), p.Length})
		}
		long[diffID.String()] = r
	}
	b, err := json.Marshal(long)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func shortForm(l flatten.RecipesLabel) string { return asJSON(l) }

func short(h v1.Hash) string {
	b, err := hex.DecodeString(h.Hex)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var _ = Describe("the recipes label", func() {
	pieces := []flatten.Facts{{Ref: r("x/a@1"), ContentID: hash("1"), Length: 1536}, {Ref: r("b@1"), ContentID: hash("2"), Length: 2048}}
	alone := []flatten.Facts{{Ref: r("c@1"), ContentID: hash("c"), Length: 1024}}
	label := func() flatten.RecipesLabel {
		l := flatten.RecipesLabel{}
		l.Add(hash("a"), pieces)
		l.Add(hash("c"), alone)
		return l
	}
	// The output of sha256sum for the two content identities, one per line.
	const recipe = "sha256:573de7ae673ecb026633f12d5ab3e4f4d424405a2e0939119dd5c1a3c689f9fe"

	It("is written short, key by key in one order", func() {
		Expect(asJSON(label())).To(Equal(`{"` + short(hash("a")) + `":{"r":"` + short(flatten.Recipe(pieces)) + `","p":[` +
			`"x/a@1 1536 ` + short(hash("1")) + `","b@1 2048 ` + short(hash("2")) + `"]},` +
			`"` + short(hash("c")) + `":{"p":["c@1 1024"]}}`))
		Expect(flatten.Recipe(pieces).String()).To(Equal(recipe))
	})

	It("has recipes that depend on order and content, and nothing else", func() {
		renamed := []flatten.Facts{{Ref: r("z@9"), ContentID: hash("1"), Length: 5}, {ContentID: hash("2")}}
		Expect(flatten.Recipe(renamed)).To(Equal(flatten.Recipe(pieces)))
		Expect(flatten.Recipe([]flatten.Facts{pieces[1], pieces[0]})).NotTo(Equal(flatten.Recipe(pieces)))
		Expect(flatten.Recipe(pieces[:1])).NotTo(Equal(flatten.Recipe(pieces)))
	})

	It("takes a third of the room that its longer form took, and three fifths where all is in one layer", func() {
		exploded, shared := flatten.RecipesLabel{}, flatten.RecipesLabel{}
		var all []flatten.Facts
		for i := range 115 {
			id, _, err := v1.SHA256(strings.NewReader(fmt.Sprint(i)))
			Expect(err).NotTo(HaveOccurred())
			p := flatten.Facts{Ref: r(fmt.Sprintf("paketo-buildpacks/component-%d@1.%d.0", i, i)), ContentID: id, Length: 98_765_312}
			exploded.Add(p.ContentID, []flatten.Facts{p})
			all = append(all, p)
		}
		shared.Add(hash("f"), all)
		for l, most := range map[*flatten.RecipesLabel]float64{&exploded: 1. / 3, &shared: 3. / 5} {
			Expect(float64(len(asJSON(*l)))).To(BeNumerically("<", most*float64(len(longForm(*l)))))
			Expect(flatten.ParseRecipesLabel(asJSON(*l))).To(Equal(*l))
			Expect(flatten.ParseRecipesLabel(longForm(*l))).To(Equal(*l))
		}
	})

	DescribeTable("is read as it was written, and as it was written before", func(value func(flatten.RecipesLabel) string) {
		l, err := flatten.ParseRecipesLabel(value(label()))
		Expect(err).NotTo(HaveOccurred())
		Expect(l).To(Equal(label()))
		Expect(l.Facts(hash("a"))).To(Equal(pieces))
		Expect(l.Facts(hash("c"))).To(Equal(alone))
		Expect(l.Facts(hash("d"))).To(BeNil())
	},
		Entry("short", shortForm),
		Entry("long", longForm),
		Entry("half of each", func(l flatten.RecipesLabel) string {
			other := flatten.RecipesLabel{hash("c"): l[hash("c")]}
			delete(l, hash("c"))
			return strings.TrimSuffix(asJSON(l), "}") + "," + strings.TrimPrefix(longForm(other), "{")
		}),
	)

	DescribeTable("is ignored where it is inconsistent", func(value func(flatten.RecipesLabel) string, from, to string) {
		lie := strings.Replace(value(label()), from, to, 1)
		Expect(lie).NotTo(Equal(value(label())))
		l, err := flatten.ParseRecipesLabel(lie)
		Expect(err).NotTo(HaveOccurred())
		Expect(l).To(HaveLen(1))
		Expect(l.Facts(hash("c"))).To(Equal(alone))
	},
		Entry("about a recipe", shortForm, `"r":"`+short(flatten.Recipe(pieces)), `"r":"`+short(hash("1"))),
		Entry("with an invalid recipe", shortForm, `"r":"`, `"r":"A`),
		Entry("without a recipe", shortForm, `"r":`, `"x":`),
		Entry("about a content", shortForm, short(hash("1")), short(hash("3"))),
		Entry("with an invalid content", shortForm, short(hash("1")), "AA"),
		Entry("without a content", shortForm, " "+short(hash("1")), ""),
		Entry("about a layer's name", shortForm, short(hash("a")), "x"),
		Entry("with no length", shortForm, "1536", "0"),
		Entry("without a length", shortForm, " 1536", ""),
		Entry("with a length below nothing", shortForm, "1536", "-512"),
		Entry("with a length that no entries have", shortForm, "1536", "1537"),
		Entry("with a length beyond numbers", shortForm, "1536", "99999999999999999999"),
		Entry("with a ref that leads up", shortForm, `"x/a@`, `"../a@`),
		Entry("with a ref without a version", shortForm, `"x/a@1`, `"x/a`),
		Entry("with one ref twice", shortForm, `"b@1`, `"x/a@1`),
		Entry("with one directory twice", shortForm, `"b@1`, `"x_a@1`),
		Entry("with more than there is", shortForm, short(hash("2")), short(hash("2"))+" more"),
		Entry("by an empty layer", shortForm, `{"`+short(hash("a"))+`":{`, `{"`+short(hash("a"))+`":{},"`+strings.Repeat("x", 3)+`":{`),
		Entry("about a recipe, in the long form", longForm, `"recipe":"sha256:`, `"recipe":"sha256:0`),
		Entry("about a content, in the long form", longForm, hash("1").String(), hash("3").String()),
		Entry("with an invalid content, in the long form", longForm, hash("1").String(), "sha256:1"),
		Entry("about a layer's name, in the long form", longForm, hash("a").String(), "x:x"),
		Entry("with a length that no entries have, in the long form", longForm, "1536", "1537"),
		Entry("with a ref that leads up, in the long form", longForm, `"x/a"`, `"../a"`),
		Entry("with one ref twice, in the long form", longForm, `"b"`, `"x/a"`),
	)

	It("is not believed where a layer of one piece is not that piece, or says so at length", func() {
		l := flatten.RecipesLabel{}
		l.Add(hash("d"), alone)
		Expect(flatten.ParseRecipesLabel(longForm(l))).To(BeEmpty())
		lone := asJSON(flatten.RecipesLabel{hash("c"): alone})
		Expect(flatten.ParseRecipesLabel(strings.Replace(lone, "1024", "1024 "+short(hash("d")), 1))).To(BeEmpty())
		Expect(flatten.ParseRecipesLabel(strings.Replace(lone, `{"p"`, `{"r":"`+short(hash("d"))+`","p"`, 1))).To(BeEmpty())
	})

	It("is believed about pieces that share an id directory where they are neighbours, and not in the form that did not know of it", func() {
		versions := []flatten.Facts{{Ref: r("x/a@1"), ContentID: hash("1"), Length: 1536}, {Ref: r("x_a@2"), ContentID: hash("2"), Length: 2048}, {Ref: r("b@1"), ContentID: hash("3"), Length: 512}}
		l := flatten.RecipesLabel{hash("a"): versions}
		Expect(flatten.ParseRecipesLabel(asJSON(l))).To(Equal(l))
		Expect(flatten.ParseRecipesLabel(longForm(l))).To(BeEmpty())
		apart := flatten.RecipesLabel{hash("a"): {versions[0], versions[2], versions[1]}}
		Expect(flatten.ParseRecipesLabel(asJSON(apart))).To(BeEmpty())
		Expect(flatten.ParseRecipesLabel(longForm(apart))).To(BeEmpty())
	})

	It("refuses other hash algorithms", func() {
		_, err := json.Marshal(flatten.RecipesLabel{v1.Hash{Algorithm: "sha512", Hex: "00"}: alone})
		Expect(err).To(MatchError(ContainSubstring("only sha256 is supported")))
	})

	DescribeTable("is refused", func(value string) {
		_, err := flatten.ParseRecipesLabel(value)
		Expect(err).To(MatchError(HavePrefix("laminate.layers label: ")))
	},
		Entry("empty", ""), Entry("as a list", "[]"), Entry("with pieces that are no list", `{"x":{"p":7}}`),
		Entry("with a length that is no number", `{"sha256:x":{"pieces":[{"length":"7"}]}}`), Entry("cut short", `{"x":`))
})
