package config

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = DescribeTable("tells API versions", func(written, read string, want ...string) {
	m, problems := ParseModule(flatten.Buildpack, "b", []byte("api = '"+written+"'\n[buildpack]\nid = 'a'\nversion = '1'"))
	Expect(said(problems)).To(ConsistOf(want))
	Expect(m.API).To(Equal(read))
},
	Entry(nil, "0.2", "0.2"),
	Entry(nil, "0.12", "0.12"),
	Entry(nil, "0.1", "0.1", "? 1: buildpack API 0.1 is not known to laminate, which knows 0.2 to 0.12"),
	Entry(nil, "0.99", "0.99", "? 1: buildpack API 0.99 is not known to laminate, which knows 0.2 to 0.12"),
	Entry(nil, "1", "1.0", "? 1: buildpack API 1.0 is not known to laminate, which knows 0.2 to 0.12"),
	Entry(nil, "", "", `1: api "" is no version; write it as "0.10"`),
	Entry(nil, "v0.9", "v0.9", `1: api "v0.9" is no version; write it as "0.10"`),
	Entry(nil, "0.09", "0.09", `1: api "0.09" is no version; write it as "0.10"`),
	Entry(nil, "0.9.1", "0.9.1", `1: api "0.9.1" is no version; write it as "0.10"`),
	Entry(nil, "0.99999999999999999999", "0.99999999999999999999", `1: api "0.99999999999999999999" is no version; write it as "0.10"`),
)
