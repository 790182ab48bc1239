package registry_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// list is a JSON list of n times the same.
func list(entry string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(entry+",", n), ",") + "]"
}

var _ = DescribeTable("CheckDocument counts before anything is parsed", func(document, want string) {
	err := registry.CheckDocument([]byte(document))
	if want == "" {
		Expect(err).NotTo(HaveOccurred())
	} else {
		Expect(err).To(MatchError(want))
	}
},
	Entry("nothing", ``, ""),
	Entry("no JSON", `<html>`, ""),
	Entry("as many entries as may be", list("{}", 100_000), ""),
	Entry("one more", list("{}", 100_001), "too many JSON entries: 100001, the limit is 100000"),
	Entry("spaces between them", list(" \t\r\n{ \t\r\n} ", 100_001), "too many JSON entries: 100001, the limit is 100000"),
	Entry("strings", list(`"a"`, 100_001), "too many JSON entries: 100001, the limit is 100000"),
	Entry("one in another", list(`{"a":[1]}`, 33_334), "too many JSON entries: 100002, the limit is 100000"),
	Entry("in several lists", `{"manifests":`+list("{}", 60_000)+`,"history":`+list("{}", 60_000)+`}`, "too many JSON entries: 120002, the limit is 100000"),
	Entry("annotations", `{"annotations":{`+strings.Repeat(`"a":"",`, 100_000)+`"b":""}}`, "too many JSON entries: 100002, the limit is 100000"),
	Entry("after an escaped quote", `["\"",`+strings.Repeat("[],", 100_000)+`[]]`, "too many JSON entries: 100002, the limit is 100000"),
	Entry("after an escaped backslash", `["\\",`+strings.Repeat("[],", 100_000)+`[]]`, "too many JSON entries: 100002, the limit is 100000"),
	Entry("a long label, which is one entry", `{"config":{"Labels":{"a":"`+strings.Repeat(`[{},\"`, 1<<20)+`"}}}`, ""),
	Entry("as many layers as may be", `{"layers":`+list("{}", 1000)+`}`, ""),
	Entry("more layers", `{"layers":`+list("{}", 1001)+`}`, "too many layers: 1001, the limit is 1000"),
	Entry("more layers, as the decoder reads it", `{"Layers":`+list("{}", 1001)+`}`, "too many layers: 1001, the limit is 1000"),
	Entry("more diffIDs", `{"rootfs":{"diff_ids":`+list(`""`, 1001)+`}}`, "too many layers: 1001, the limit is 1000"),
	Entry("more layers, and something of another kind", `{"rootfs":1,"layers":`+list("{}", 1001)+`}`, "too many layers: 1001, the limit is 1000"),
)

var _ = It("documents that are nested without end are refused", func() {
	for _, parse := range []func([]byte) error{
		func(d []byte) error { _, err := registry.ParseManifest(d); return err },
		func(d []byte) error { _, err := registry.ParseIndex(d); return err },
		func(d []byte) error { _, err := registry.ParseConfig(d); return err },
	} {
		Expect(parse([]byte(`{"annotations":` + strings.Repeat("[", 50_000)))).To(MatchError(ContainSubstring("exceeded max depth")))
	}
})
