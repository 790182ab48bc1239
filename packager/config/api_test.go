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
	Entry(nil, "0.1", "0.1", "? 1: buildpack API 0.1 is unknown; laminate knows 0.2 to 0.12"),
	Entry(nil, "0.99", "0.99", "? 1: buildpack API 0.99 is unknown; laminate knows 0.2 to 0.12"),
	Entry(nil, "1", "1.0", "? 1: buildpack API 1.0 is unknown; laminate knows 0.2 to 0.12"),
	Entry(nil, "", "", `1: invalid api ""; write a version such as "0.10"`),
	Entry(nil, "v0.9", "v0.9", `1: invalid api "v0.9"; write a version such as "0.10"`),
	Entry(nil, "0.09", "0.09", `1: invalid api "0.09"; write a version such as "0.10"`),
	Entry(nil, "0.9.1", "0.9.1", `1: invalid api "0.9.1"; write a version such as "0.10"`),
	Entry(nil, "0.99999999999999999999", "0.99999999999999999999", `1: invalid api "0.99999999999999999999"; write a version such as "0.10"`),
)
