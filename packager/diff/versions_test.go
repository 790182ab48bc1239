package diff_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("the versions of an id are paired as a person would", func(old, new string, want ...string) {
	at := func(versions string) spec {
		var refs []string
		for v := range strings.FieldsSeq(versions) {
			refs = append(refs, "x@"+v)
		}
		return builder("base " + strings.Join(refs, " "))
	}
	d := compare(at(old), at(new))
	var got []string
	for _, m := range d.Modules {
		got = append(got, strings.TrimSpace(m.Change+" "+m.From+">"+m.To))
	}
	if len(want) == 0 {
		Expect(got).To(BeEmpty())
		return
	}
	Expect(got).To(ConsistOf(want))

	mirror := map[string]string{"added": "removed", "removed": "added", "upgraded": "downgraded", "downgraded": "upgraded", "changed": "changed"}
	var mirrored []string
	for _, m := range compare(at(new), at(old)).Modules {
		mirrored = append(mirrored, mirror[m.Change]+" "+m.To+">"+m.From)
	}
	Expect(mirrored).To(ConsistOf(want), "swapped")
},
	Entry("the same", "1.2.3", "1.2.3"),
	Entry("one", "1.2.3", "1.2.4", "upgraded 1.2.3>1.2.4"),
	Entry("one, over a major line", "1.2.3", "2.0.0", "upgraded 1.2.3>2.0.0"),
	Entry("by number, not by text", "1.9.0", "1.10.0", "upgraded 1.9.0>1.10.0"),
	Entry("of two digits", "0.0.9", "0.0.10", "upgraded 0.0.9>0.0.10"),
	Entry("back", "1.2.3", "1.2.2", "downgraded 1.2.3>1.2.2"),
	Entry("a release after its candidate", "1.0.0-rc.1", "1.0.0", "upgraded 1.0.0-rc.1>1.0.0"),
	Entry("short ones", "1", "2", "upgraded 1>2"),
	Entry("with a v", "v1.0.0", "1.1.0", "upgraded v1.0.0>1.1.0"),
	Entry("without an order", "summer", "1.0.0", "changed summer>1.0.0"),
	Entry("other build metadata", "1.0.0+a", "1.0.0+b", "changed 1.0.0+a>1.0.0+b"),
	Entry("two major lines", "1.2.3 2.0.0", "2.1.0 1.2.4", "upgraded 1.2.3>1.2.4", "upgraded 2.0.0>2.1.0"),
	Entry("two minor lines", "1.2.3 1.3.0", "1.2.4 1.3.1", "upgraded 1.2.3>1.2.4", "upgraded 1.3.0>1.3.1"),
	Entry("one line of two", "1.2.3 2.0.0", "1.2.3 2.0.1", "upgraded 2.0.0>2.0.1"),
	Entry("a window that moves", "1.1.0 1.2.0", "1.2.0 1.3.0", "removed 1.1.0>", "added >1.3.0"),
	Entry("a new line", "1.0.0", "1.0.1 2.0.0", "upgraded 1.0.0>1.0.1", "added >2.0.0"),
	Entry("the newest of a line", "1.0.0", "1.0.1 1.0.2", "upgraded 1.0.0>1.0.2", "added >1.0.1"),
	Entry("a line that ends", "1.0.0 2.0.0", "2.0.0", "removed 1.0.0>"),
	Entry("all lines anew", "1.0.0 2.0.0", "3.0.0", "removed 1.0.0>", "upgraded 2.0.0>3.0.0"),
)
