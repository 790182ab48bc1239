package flatten_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("selecting", func() {
	refs := rs("acme/node@2", "acme/go@1", "acme/node@1", "acme/node/sub@1", "acme.node@1", "paketo/java@1")

	DescribeTable("finds the refs that match a pattern, in the order of the refs", func(pattern string, want ...string) {
		Expect(flatten.Select(pattern, refs)).To(Equal(rs(want...)))
	},
		Entry("a ref", "acme/node@1", "acme/node@1"),
		Entry("an id of one version", "acme/go", "acme/go@1"),
		Entry("a glob on the id", "acme/*", "acme/node@2", "acme/go@1", "acme/node@1", "acme/node/sub@1"),
		Entry("a glob that ends", "*/java", "paketo/java@1"),
		Entry("a glob and a version", "acme/*@1", "acme/go@1", "acme/node@1", "acme/node/sub@1"),
		Entry("a glob for the version", "acme/node@*", "acme/node@2", "acme/node@1"),
		Entry("a question mark", "acme?node@1", "acme/node@1", "acme.node@1"),
		Entry("a dot, which is no wildcard", "acme.node", "acme.node@1"),
		Entry("everything", "*", "acme/node@2", "acme/go@1", "acme/node@1", "acme/node/sub@1", "acme.node@1", "paketo/java@1"),
	)

	DescribeTable("reports unknown and ambiguous patterns, with similar refs", func(pattern, message string) {
		found, err := flatten.Select(pattern, refs)
		Expect(found).To(BeEmpty())
		Expect(err).To(MatchError(message))
	},
		Entry("an id of two versions", "acme/node", `ambiguous buildpack "acme/node": found acme/node@2, acme/node@1; name one`),
		Entry("a version that is not there", "acme/go@2", `unknown buildpack "acme/go@2"; did you mean acme/go@1?`),
		Entry("a typing error", "paketo/jvaa", `unknown buildpack "paketo/jvaa"; did you mean paketo/java@1?`),
		Entry("capitals", "PAKETO/JAVA@1", `unknown buildpack "PAKETO/JAVA@1"; did you mean paketo/java@1?`),
		Entry("nothing near", "zzz", `unknown buildpack "zzz"; name one of acme/node@2, acme/go@1 and 4 more`),
		Entry("a glob of nothing", "zzz*", `unknown buildpack "zzz*"; name one of acme/node@2, acme/go@1 and 4 more`),
		Entry("an empty version", "acme/go@", `unknown buildpack "acme/go@"; did you mean acme/go@1?`),
		Entry("nothing", "", `unknown buildpack ""; name one of acme/node@2, acme/go@1 and 4 more`),
		Entry("a part of an id", "acme", `unknown buildpack "acme"; did you mean acme/go@1, acme.node@1 or acme/node@1?`),
		Entry("what is no text", "\xff", `unknown buildpack "\xff"; name one of acme/node@2, acme/go@1 and 4 more`),
		Entry("what means something in a regular expression", "(acme", `unknown buildpack "(acme"; name one of acme/node@2, acme/go@1 and 4 more`),
	)

	DescribeTable("names near misses, the nearest first and no more than three", func(word string, names, want []string) {
		Expect(flatten.NearMisses(word, names)).To(Equal(want))
	},
		Entry("sorted by nearness", "compression", []string{"impression", "compression-level", "compressio"}, []string{"compressio", "compression-level", "impression"}),
		Entry("at most three", "ab", []string{"ab4", "ab3", "ab2", "ab1"}, []string{"ab1", "ab2", "ab3"}),
		Entry("whatever the case", "URI", []string{"uri"}, []string{"uri"}),
		Entry("none that are far", "uri", []string{"image", "path"}, []string{}),
		Entry("none of none", "uri", nil, nil),
		Entry("none for nothing", "", []string{"a", "b"}, []string{}),
		Entry("no name of nothing", "a", []string{""}, []string{}),
	)

	It("leaves the names as they are", func() {
		names := []string{"zz", "ab2", "ab1"}
		flatten.NearMisses("ab", names)
		Expect(names).To(Equal([]string{"zz", "ab2", "ab1"}))
	})
})
