package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
)

type object = map[string]any

// decoded reads the only document on standard output.
func decoded(r result) object {
	GinkgoHelper()
	Expect(r.code).To(BeZero(), r.stderr)
	var doc object
	Expect(json.Unmarshal([]byte(r.stdout), &doc)).To(Succeed(), r.stdout)
	return doc
}

// keysOf collects the JSON keys of a type and of those in it.
func keysOf(t reflect.Type) (keys []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keysOf(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			keys = append(append(keys, key), keysOf(t.Field(i).Type)...)
		}
	}
	return keys
}

var _ = Describe("--output json", func() {
	BeforeEach(enterBuilder)

	It("prints a builder's plan: where each layer comes from, and what is new", func() {
		digest(create("oci:out"))
		put("b/bin/build", "#!/bin/sh\n# changed\n")
		Expect(laminate("package", "-q", "right.cnb", "-c", "right.toml").code).To(BeZero())
		doc := decoded(create("oci:out", "--dry-run", "--output=json"))
		Expect(doc["schema"]).To(BeEquivalentTo(1))
		Expect(doc["destination"]).To(Equal("oci:out"))
		img := doc["images"].([]any)[0].(object)
		Expect(img["target"]).To(Equal("linux/amd64"))
		Expect(img["kind"]).To(Equal("builder"))
		Expect(img).NotTo(HaveKey("root"))
		origins := map[string]string{}
		for i, l := range img["layers"].([]any) {
			l := l.(object)
			Expect(l["number"]).To(BeEquivalentTo(i + 1))
			origins[l["refs"].([]any)[0].(string)] = l["origin"].(string)
			if l["new"].(bool) {
				Expect(l).NotTo(HaveKey("inherited"))
			} else {
				Expect(l["inherited"]).To(HavePrefix("sha256:"))
			}
		}
		Expect(origins).To(HaveKeyWithValue("acme/a@1", "previous image"))
		Expect(origins).To(HaveKeyWithValue("acme/b@1", "source"))
		Expect(img["other_layers"]).To(ContainElement(object{"name": "build image", "layers": float64(1)}))
		total := img["total"].(object)
		Expect(total["layers"]).To(BeEquivalentTo(len(origins) + 3))
		Expect(total["max_layers"]).To(BeEquivalentTo(119))
		Expect(total["new_layers"]).To(BeEquivalentTo(1))
		Expect(img["previous"].(object)["image"]).To(Equal("oci:out"))
		Expect(img["doubled"]).To(BeEmpty())
		Expect(img["replaced"]).To(BeEmpty())
	})

	It("prints layers that are built, doubled content, and a limit", func() {
		r := laminate("package", "out.cnb", "-c", "left.toml", "--max-layers", "5", "--dry-run", "--output", "json", "-v")
		img := decoded(r)["images"].([]any)[0].(object)
		Expect(img["root"]).To(Equal("acme/left@1"))
		Expect(img["layers"].([]any)[0].(object)["origin"]).To(Equal("build"))
		Expect(img["total"].(object)["max_layers"]).To(BeEquivalentTo(5))
		Expect(img["previous"]).To(BeNil())

		r = create("out.cnb", "--flatten=as-packaged", "--dry-run", "--output", "json")
		img = decoded(r)["images"].([]any)[0].(object)
		Expect(img["doubled"]).NotTo(BeEmpty())
		Expect(img["doubled"].([]any)[0]).To(HaveKeyWithValue("ref", "acme/shared@1"))
	})

	It("prints what was written, and the same digests as the text does", func() {
		host := fixtures.Registry(GinkgoT())
		args := []string{"package", "docker://" + host + "/left:1", "-c", "left.toml", "-t", "linux/amd64,linux/arm64", "--tag", host + "/left:2", "--append-image-name-suffix"}
		r := laminate(append(args, "--output", "json")...)
		Expect(r.stderr).To(ContainSubstring("done in "))
		doc := decoded(r)
		Expect(doc["layers"]).To(Equal(object{"built": float64(3), "reused": float64(0)}))
		Expect(doc["bytes"].(object)["uploaded"]).To(BeNumerically(">", 0))
		var lines []string
		for _, o := range doc["outputs"].([]any) {
			o := o.(object)
			lines = append(lines, o["digest"].(string)+"\t"+o["destination"].(string))
		}
		Expect(lines).To(HaveLen(4))
		text := laminate(args...)
		Expect(strings.Split(strings.TrimSuffix(text.stdout, "\n"), "\n")).To(Equal(lines))
	})

	It("prints nothing on standard output where the run fails", func() {
		r := laminate("package", "out.cnb", "-c", "left.toml", "--max-layers", "1", "--output", "json")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		r = laminate("package", "out.cnb", "--output", "yaml")
		Expect(r.code).To(Equal(2))
		Expect(r.stderr).To(HavePrefix(`laminate: invalid value "yaml" for --output; write text or json`))
	})

	It("has no key that its page does not describe", func() {
		page, err := os.ReadFile(filepath.Join(fixtures.Root(), "..", "docs", "output-json.md"))
		Expect(err).NotTo(HaveOccurred())
		var quoted []string
		for i, s := range strings.Split(string(page), "`") {
			if i%2 == 1 {
				quoted = append(quoted, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".[], ", r) })...)
			}
		}
		for _, doc := range cli.JSONDocuments() {
			for _, key := range keysOf(reflect.TypeOf(doc)) {
				Expect(slices.Contains(quoted, key)).To(BeTrue(), key)
			}
		}
	})
})
