package inspect_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/inspect"
)

// object is an object of the schema.
type object struct {
	Properties map[string]struct {
		Ref   string `json:"$ref"`
		Items struct {
			Ref string `json:"$ref"`
		}
		AnyOf []struct {
			Ref string `json:"$ref"`
		}
		Enum        []string
		Description string
	}
	Required             []string
	AdditionalProperties bool
	Description          string
	Defs                 map[string]object `json:"$defs"`
}

var _ = Describe("the schema", func() {
	var root object

	BeforeEach(func() {
		text, err := os.ReadFile(filepath.Join(fixtures.Root(), "..", "docs", "inspect.schema.json"))
		Expect(err).NotTo(HaveOccurred())
		root = object{AdditionalProperties: true}
		Expect(json.Unmarshal(text, &root)).To(Succeed())
	})

	It("has the fields of the types, and no others", func() {
		reached := map[string]bool{}
		var check func(t reflect.Type, name string, of object)
		check = func(t reflect.Type, name string, of object) {
			var fields, required []string
			for i := range t.NumField() {
				key, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
				fields = append(fields, key)
				if options == "" {
					required = append(required, key)
				}
				below := t.Field(i).Type
				for below.Kind() == reflect.Pointer || below.Kind() == reflect.Slice {
					below = below.Elem()
				}
				p := of.Properties[key]
				ref := p.Ref + p.Items.Ref
				for _, one := range p.AnyOf {
					ref += one.Ref
				}
				ref = strings.TrimPrefix(ref, "#/$defs/")
				if below.Kind() != reflect.Struct || below.PkgPath() != t.PkgPath() {
					Expect(ref).To(BeEmpty(), "%s.%s", name, key)
					continue
				}
				Expect(root.Defs).To(HaveKey(ref), "%s.%s", name, key)
				if !reached[ref] {
					reached[ref] = true
					check(below, ref, root.Defs[ref])
				}
			}
			Expect(slices.Sorted(maps.Keys(of.Properties))).To(ConsistOf(fields), name)
			Expect(of.Required).To(ConsistOf(required), name)
			Expect(of.AdditionalProperties).To(BeFalse(), name)
			Expect(of.Description).NotTo(BeEmpty(), name)
		}
		check(reflect.TypeFor[inspect.Report](), "the report", root)
		Expect(slices.Collect(maps.Keys(reached))).To(ConsistOf(slices.Collect(maps.Keys(root.Defs))))
	})

	It("has the parts of images", func() {
		Expect(root.Defs["layer"].Properties["part"].Enum).To(Equal(inspect.Parts))
	})
})
