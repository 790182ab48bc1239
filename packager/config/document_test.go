package config

import (
	"fmt"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("Parse", func() {
	It("refuses tables with more keys than anybody writes", func() {
		var b strings.Builder
		for i := range maxKeys + 1 {
			fmt.Fprintf(&b, "k%d = 1\n", i)
		}
		_, problems := ParsePackage("p", []byte("[buildpack]\n"+b.String()))
		Expect(said(problems)).To(Equal([]string{"1026: too many keys in a table; the limit is 1024"}))
	})

	It("refuses files that are too large or nested too deep", func() {
		_, problems := ParseModule(flatten.Buildpack, "b", []byte(component+strings.Repeat("#", MaxSize)))
		Expect(said(problems)).To(Equal([]string{"0: file is larger than 1024 KiB"}))
		for _, deep := range []string{
			"x = " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
			"x = " + strings.Repeat("{x=", 5000) + "1" + strings.Repeat("}", 5000),
			strings.Repeat("x.", 500_000) + "x = 1",
			"[" + strings.Repeat("x.", 500_000) + "x]",
			"[" + strings.Repeat("x.", 60) + "x]\n" + strings.Repeat("y.", 60) + "y = 1",
		} {
			_, problems := ParseModule(flatten.Buildpack, "b", []byte(component+deep))
			Expect(said(problems)).To(ConsistOf(HaveSuffix(": tables and arrays are nested too deeply; the limit is 100")))
		}
	})

	It("returns an empty document where it cannot read", func() {
		d, problems := Parse("x", []byte("a = "))
		Expect(problems.Err()).To(MatchError("x:1: expected value, not end of input"))
		Expect(d.Has("a")).To(BeFalse())
		Expect(d.Problem("hm", "a", 1).Error()).To(Equal("x: hm"))
		Expect(d.Decode(new(packageFile), RefuseUnknown)).To(BeEmpty())
	})

	It("leaves out the values that it reports", func() {
		d, problems := Parse("x", []byte("a = 1\nb = ['x', 2]\nC = 'c'\nd = 'd'\ne = {f = [1]}"))
		Expect(problems).To(BeEmpty())
		v := struct {
			A string   `toml:"a"`
			B []string `toml:"b"`
			C string   `toml:"c"`
			D string   `toml:"d"`
			E any      `toml:"e"`
		}{}
		problems = d.Decode(&v, RefuseUnknown)
		Expect(said(problems)).To(Equal([]string{
			"1: a must be a string, not a number",
			"2: an element of b must be a string, not a number",
			`3: unknown key "C"; write "c"`,
		}))
		Expect(v.A + v.C).To(BeEmpty())
		Expect(v.B).To(Equal([]string{"x", ""}))
		Expect(v.D).To(Equal("d"))
		Expect(v.E).To(BeNil())
	})

	It("takes a key's name from a tag that says more", func() {
		d, problems := Parse("x", []byte("a = 'a'"))
		Expect(problems).To(BeEmpty())
		v := struct {
			A string `toml:"a,omitempty"`
		}{}
		Expect(d.Decode(&v, RefuseUnknown)).To(BeEmpty())
		Expect(v.A).To(Equal("a"))
	})

	It("may be asked where nothing was read", func() {
		var d Doc
		Expect(d.Has("order", 0)).To(BeFalse())
		Expect(d.Problem("hm", "order", 0).Line).To(BeZero())
	})
})

// What TOML 1.1 added is refused in every file, with the line: no lifecycle reads
// it in a buildpack.toml, nor pack in the files that both read. If this fails
// after an update of BurntSushi/toml, that reads TOML 1.1 now; see checkLifecycle.
var _ = DescribeTable("TOML 1.1 is refused", func(value, why string) {
	for _, data := range []string{"\nx = " + value + "\n", "\ufeff\n[[a]]\nb = [" + value + "]"} {
		d, problems := Parse("x", []byte(data))
		Expect(said(problems)).To(ConsistOf(MatchRegexp(`^[23]: ` + regexp.QuoteMeta(why) + `; the lifecycle and pack read TOML 1\.0 only$`)))
		Expect(d.Has("x")).To(BeFalse())
	}
},
	Entry("an inline table over lines", "{\n  a = 1,\n  b = 2\n}", "newlines not allowed within inline tables"),
	Entry("an inline table with a comment", "{ # c\n  a = 1 }", "newlines not allowed within inline tables"),
	Entry("an inline table in another, over lines", "{ a = {\n b = 1 } }", "newlines not allowed within inline tables"),
	Entry("an inline table that ends in a comma", "{ a = 1, }", "trailing comma not allowed in inline tables"),
	Entry(`\x`, `"\x41"`, `invalid escape in string '\x'`),
	Entry(`\e`, `"\e[0m"`, `invalid escape in string '\e'`),
	Entry(`\e in several lines`, `"""\e[0m"""`, `invalid escape in string '\e'`),
	Entry("a time without seconds", "07:32", `invalid datetime: "07:32"`),
	Entry("a local time and date without seconds", "1979-05-27T07:32", `invalid datetime: "1979-05-27T07:32"`),
	Entry("a time and date without seconds", "1979-05-27T07:32Z", `invalid datetime: "1979-05-27T07:32Z"`),
)

var _ = DescribeTable("TOML 1.0 is read", func(value string) {
	_, problems := Parse("x", []byte("x = "+value+"\n"))
	Expect(problems).To(BeEmpty())
},
	Entry("arrays over lines", "[\n  {a = 1}, # c\n  [\n{ b = [\n1,\n] },],\n]"),
	Entry("backslashes in literal strings", `'\x41 \e'`),
	Entry("escaped backslashes", `"\\x41 \\e"`),
	Entry("escapes", `"\u00e9 \U0001F600 \t"`),
	Entry("times", "[07:32:00, 1979-05-27 07:32:00.5, 1979-05-27T07:32:00Z, 1979-05-27]"),
	Entry("braces and commas in strings", `"{,\n}"`),
)
