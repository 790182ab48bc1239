package registry

import (
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("an origin is scheme, host and port", func(a, b string, same bool) {
	one, err := url.Parse(a)
	Expect(err).NotTo(HaveOccurred())
	other, err := url.Parse(b)
	Expect(err).NotTo(HaveOccurred())
	Expect(sameOrigin(one, other)).To(Equal(same))
	Expect(sameOrigin(other, one)).To(Equal(same))
},
	Entry("the same", "https://a.org/x", "https://a.org/y?z", true),
	Entry("in capitals", "HTTPS://A.org", "https://a.ORG", true),
	Entry("with the port of https", "https://a.org", "https://a.org:443", true),
	Entry("with the port of http", "http://a.org", "http://a.org:80", true),
	Entry("another port", "https://a.org", "https://a.org:8443", false),
	Entry("the port of http in https", "https://a.org", "https://a.org:80", false),
	Entry("another scheme", "https://a.org", "http://a.org", false),
	Entry("another scheme with the same port", "https://a.org:5000", "http://a.org:5000", false),
	Entry("another scheme with the port of https", "https://a.org", "http://a.org:443", false),
	Entry("a subdomain", "https://a.org", "https://b.a.org", false),
	Entry("a user", "https://ann@a.org", "https://a.org", true),
	Entry("an address of IPv6", "https://[::1]:443", "https://[::1]", true),
)
