package flatten_test

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

func hashOf(digit string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}
}

var _ = Describe("the layers in a layers label", func() {
	one, two := hashOf("1").String(), hashOf("2").String()
	DescribeTable("are replaced, and nothing else",
		func(label, want string) {
			got, err := flatten.MoveLayers(label, map[flatten.Ref]v1.Hash{{ID: "a/b", Version: "1"}: hashOf("2")})
			Expect(err).NotTo(HaveOccurred())
			Expect(got).To(Equal(want))
		},
		Entry("of one module", `{"a/b":{"1":{"api":"0.10","layerDiffID":"`+one+`","name":"x"}}}`, `{"a/b":{"1":{"api":"0.10","layerDiffID":"`+two+`","name":"x"}}}`),
		Entry("among others", `{"a/b":{"1":{"layerDiffID":"`+one+`"},"2":{"layerDiffID":"`+one+`"}},"c":{"1":{"layerDiffID":"`+one+`"}}}`,
			`{"a/b":{"1":{"layerDiffID":"`+two+`"},"2":{"layerDiffID":"`+one+`"}},"c":{"1":{"layerDiffID":"`+one+`"}}}`),
		Entry("with white space and unknown keys", ` {"a/b" : {"1": {"layerDiffID" :  "`+one+`" , "new":{"layerDiffID":[1,"x"]} } } } `, ` {"a/b" : {"1": {"layerDiffID" :  "`+two+`" , "new":{"layerDiffID":[1,"x"]} } } } `),
		Entry("under a key in other case, and twice", `{"a/b":{"1":{"LAYERdiffid":"`+one+`","layerDiffID":"`+one+`"}}}`, `{"a/b":{"1":{"LAYERdiffid":"`+two+`","layerDiffID":"`+two+`"}}}`),
		Entry("beside null", `{"z":null,"a/b":{"1":{"stacks":null,"layerDiffID":"`+one+`"}}}`, `{"z":null,"a/b":{"1":{"stacks":null,"layerDiffID":"`+two+`"}}}`),
	)

	DescribeTable("are not replaced in a label that is wrong",
		func(label, want string) {
			_, err := flatten.MoveLayers(label, map[flatten.Ref]v1.Hash{{ID: "a", Version: "1"}: hashOf("2")})
			Expect(err).To(MatchError(ContainSubstring(want)))
		},
		Entry("no JSON", `{`, "EOF"),
		Entry("a list", `[]`, "expected an object"),
		Entry("without the module", `{"b":{"1":{"layerDiffID":"`+one+`"}}}`, "no layer for a@1"),
		Entry("without a layer", `{"a":{"1":{"api":"0.10"}}}`, "layerDiffID"),
	)
})

func FuzzMoveLayers(f *testing.F) {
	f.Add(`{"a":{"1":{"api":"0.10","layerDiffID":"` + hashOf("1").String() + `"}}}`)
	f.Fuzz(func(t *testing.T, label string) {
		to := map[flatten.Ref]v1.Hash{{ID: "a", Version: "1"}: hashOf("2")}
		moved, err := flatten.MoveLayers(label, to)
		if err != nil {
			return
		}
		var before, after map[string]map[string]map[string]json.RawMessage
		if json.Unmarshal([]byte(label), &before) != nil || json.Unmarshal([]byte(moved), &after) != nil {
			t.Fatalf("%q became %q", label, moved)
		}
		again, err := flatten.MoveLayers(moved, to)
		if err != nil || again != moved {
			t.Fatalf("%q, and then %q: %v", moved, again, err)
		}
	})
}
