package inspecthtml_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/html"

	"laminate/cli/inspecthtml"
	"laminate/packager/inspect"
)

// hostile are strings that end what a page has around them, if they are not escaped.
var hostile = []string{
	`</script><img src=x onerror=alert(1)>`,
	`<!--<script>`,
	`]]></title></style><svg onload=alert(1)>`,
	`"'` + "`" + `><b x="${alert(1)}">`,
	"\u2028\u2029\u202e\x00\x1b[31m\xff\\u003c/script>",
	`javascript:alert(1)`,
	`{{.Report}}`,
}

var _ = Describe("Write", func() {
	DescribeTable("keeps a text in every field from becoming markup", func(text string) {
		plain, attacked := report("x"), report(text)
		Expect(shape(write(attacked))).To(Equal(shape(write(plain))))

		var back inspect.Report
		Expect(json.Unmarshal([]byte(data(write(attacked))), &back)).To(Succeed())
		want, err := json.Marshal(attacked)
		Expect(err).NotTo(HaveOccurred())
		have, err := json.Marshal(&back)
		Expect(err).NotTo(HaveOccurred())
		Expect(have).To(MatchJSON(want))
	}, func() (entries []TableEntry) {
		for _, text := range hostile {
			entries = append(entries, Entry(nil, text))
		}
		return entries
	}())

	It("allows its script and its style sheet, and nothing else", func() {
		page := write(report("x"))
		policy, scripts, styles := "", []string{}, []string{}
		for n := range document(page).Descendants() {
			switch {
			case n.Data == "meta" && attribute(n, "http-equiv") == "Content-Security-Policy":
				Expect(scripts).To(BeEmpty(), "a policy counts for what comes after it")
				Expect(styles).To(BeEmpty())
				policy = attribute(n, "content")
			case n.Data == "script" && attribute(n, "type") == "":
				scripts = append(scripts, allowed(n.FirstChild.Data))
			case n.Data == "style":
				styles = append(styles, allowed(n.FirstChild.Data))
			}
			for _, a := range n.Attr {
				Expect(a.Key).NotTo(Or(HavePrefix("on"), Equal("style"), Equal("src"), Equal("href")), "of "+n.Data)
			}
		}
		Expect(scripts).To(HaveLen(1))
		Expect(styles).To(HaveLen(1))
		Expect(strings.Split(policy, "; ")).To(ConsistOf(
			"default-src 'none'", "script-src "+scripts[0], "style-src "+styles[0], "base-uri 'none'", "form-action 'none'",
			"require-trusted-types-for 'script'", "trusted-types 'none'"))
	})

	It("makes no markup of strings, and loads nothing", func() {
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "srcdoc", "eval(", "Function(", "fetch(", "XMLHttpRequest", "import(", "@import", "url("} {
			Expect(string(write(report("x")))).NotTo(ContainSubstring(word))
		}
	})

	It("gives the same bytes for the same report", func() {
		first := report("x")
		first.Images[0].Modules[0].DefaultVersions = map[string]string{}
		for _, key := range strings.Split("abcdefghij", "") {
			first.Images[0].Modules[0].DefaultVersions[key] = key
		}
		page := write(first)
		for range 5 {
			Expect(write(first)).To(Equal(page))
		}
	})

	It("is below 60 kB without the data", func() {
		Expect(len(write(&inspect.Report{}))).To(BeNumerically("<", 60_000))
	})
})

var _ = Describe("the style sheet", func() {
	variable := regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`)

	It("has readable text on all of its colours, light and dark", func() {
		light, dark, found := strings.Cut(string(write(report("x"))), "@media (prefers-color-scheme: dark)")
		Expect(found).To(BeTrue())
		for _, scheme := range []string{light, dark} {
			colours := map[string]string{}
			for _, m := range variable.FindAllStringSubmatch(scheme, -1) {
				colours[m[1]] = m[2]
			}
			text := map[string][]string{"ink": nil, "dim": {"paper", "panel", "other"}, "accent": {"paper", "panel"}, "warn": {"paper", "warn-paper"}}
			for name := range colours {
				if !slices.Contains([]string{"ink", "dim", "accent", "warn", "line", "over"}, name) {
					text["ink"] = append(text["ink"], name)
				}
			}
			Expect(len(text["ink"])).To(BeNumerically(">", 15))
			for ink, papers := range text {
				for _, paper := range papers {
					Expect(contrast(colours[ink], colours[paper])).To(BeNumerically(">=", 4.5), "%s on %s", ink, paper)
				}
			}
		}
	})
})

func write(r *inspect.Report) []byte {
	GinkgoHelper()
	var b bytes.Buffer
	Expect(inspecthtml.Write(&b, r)).To(Succeed())
	return b.Bytes()
}

// report returns a report that has this text in every field that can hold one.
func report(text string) *inspect.Report {
	var r inspect.Report
	set(reflect.ValueOf(&r).Elem(), text)
	return &r
}

// set gives everything below a value a value.
func set(v reflect.Value, text string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1e9, 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), text)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{text: text}))
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i), text)
		}
	}
}

func document(page []byte) *html.Node {
	GinkgoHelper()
	root, err := html.Parse(bytes.NewReader(page))
	Expect(err).NotTo(HaveOccurred())
	return root
}

// shape returns what a page is made of, except the texts of its title and of its data.
func shape(page []byte) (all []string) {
	GinkgoHelper()
	for n := range document(page).Descendants() {
		switch {
		case n.Type != html.TextNode:
			all = append(all, n.Data)
			for _, a := range n.Attr {
				all = append(all, a.Key+"="+a.Val)
			}
		case n.Parent.Data != "title" && attribute(n.Parent, "id") != "report":
			all = append(all, n.Data)
		}
	}
	return all
}

// data returns the report that is in a page.
func data(page []byte) string {
	GinkgoHelper()
	for n := range document(page).Descendants() {
		if attribute(n, "id") == "report" {
			return n.FirstChild.Data
		}
	}
	Fail("the page has no report")
	return ""
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// allowed returns the source expression of an inline text.
func allowed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
