package config_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/config"
)

var _ = Describe("editing", func() {
	parse := func(text string) config.Doc {
		GinkgoHelper()
		doc, problems := config.Parse("x.toml", []byte(text))
		Expect(problems).To(BeEmpty())
		return doc
	}

	DescribeTable("replaces a string within its quotes", func(before, after string) {
		for _, around := range []string{"a = VALUE", "\ufeff# c\r\na = VALUE # d\r\n", "a = VALUE\n[b]\nx = ['a']\n"} {
			text := strings.Replace(around, "VALUE", before, 1)
			t, ok := parse(text).Text("a")
			Expect(ok).To(BeTrue())
			Expect(text[t.Start:t.End]).To(Equal(before))
			edit, err := t.Replace("new:1")
			Expect(err).NotTo(HaveOccurred())
			got, err := config.Apply([]byte(text), []config.Edit{edit})
			Expect(err).NotTo(HaveOccurred())
			Expect(string(got)).To(Equal(strings.Replace(around, "VALUE", after, 1)))
		}
	},
		Entry("basic", `"old"`, `"new:1"`),
		Entry("literal", `'old'`, `'new:1'`),
		Entry("empty", `""`, `"new:1"`),
		Entry("empty, of several lines", `""""""`, `"""new:1"""`),
		Entry("of several lines", "\"\"\"\nold\"\"\"", "\"\"\"\nnew:1\"\"\""),
		Entry("literal, of several lines", "'''\r\nold'''", "'''\r\nnew:1'''"),
		Entry("with quotes at the end", `"""old""""`, `"""new:1"""`),
		Entry("with escapes", `"\u006fld"`, `"new:1"`),
		Entry("with an escaped backslash", `"\\old"`, `"new:1"`),
		Entry("with a line that is continued", "\"\"\"\\\n  old\"\"\"", `"""new:1"""`),
		Entry("literal, with a backslash", `'\old'`, `'new:1'`),
	)

	It("refuses values that need escapes", func() {
		t, _ := parse("a = 'b'").Text("a")
		for _, value := range []string{`a"`, "a'", `a\`, "a\n", "\x1b", "\u202e"} {
			_, err := t.Replace(value)
			Expect(err).To(MatchError(HaveSuffix("cannot be written without escapes")), value)
		}
	})

	It("refuses edits that overlap, or lie outside", func() {
		for _, edits := range [][]config.Edit{{{0, 2, ""}, {1, 3, ""}}, {{0, 5, ""}}, {{2, 1, ""}}, {{-1, 1, ""}}} {
			_, err := config.Apply([]byte("abcd"), edits)
			Expect(err).To(HaveOccurred())
		}
		got, err := config.Apply([]byte("abcd"), []config.Edit{{3, 4, "z"}, {0, 1, "xy"}, {1, 1, "-"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal("xy-bcz"))
	})

	It("finds no text where there is none", func() {
		doc := parse("a = 1\nb = ['c', ['d']]\ne.f = 'g'")
		for _, path := range [][]any{{"a"}, {"b"}, {"b", 1}, {"b", 2}, {"e"}, {"x"}, {"e", "f", "g"}} {
			_, ok := doc.Text(path...)
			Expect(ok).To(BeFalse(), "%v", path)
		}
		t, ok := doc.Text("b", 1, 0)
		Expect(ok).To(BeTrue())
		Expect(t).To(HaveField("Value", "d"))
		Expect([]int{doc.Len("b"), doc.Len("b", 1), doc.Len("a"), doc.Len("x")}).To(Equal([]int{2, 1, 0, 0}))
	})

	It("knows lines and comments", func() {
		text := "\ufeff# one\r\n  # two\r\na = [ # three\r\n '# no', # four\r\n # five\r\n # six\r\n '''# no\r\n# no''' # seven\r\n] # eight\r\n[b] # nine\r\nc = \"# \\\" no\" # ten"
		doc := parse(text)
		var found []string
		for _, c := range doc.Comments() {
			Expect(text[c.Start:]).To(HavePrefix(c.Text))
			Expect(strings.Count(text[:c.Start], "\n") + 1).To(Equal(c.Line))
			mark := " "
			if c.Alone {
				mark = "!"
			}
			found = append(found, mark+c.Text)
		}
		Expect(found).To(Equal([]string{"!# one", "!# two", " # three", " # four", "!# five", "!# six", " # seven", " # eight", " # nine", " # ten"}))
		t, _ := doc.Text("a", 1)
		Expect([]int{t.Line, t.LastLine}).To(Equal([]int{7, 8}))
		Expect(text[:doc.LineEnd(8)]).To(HaveSuffix("# seven"))
		Expect(text[doc.LineEnd(8):]).To(HavePrefix("\r\n]"))
		Expect(doc.LineEnd(11)).To(Equal(len(text)))
	})
})
