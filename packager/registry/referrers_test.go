package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var subject = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}

const indexType = "application/vnd.oci.image.index.v1+json"

// entries are n entries of an index, from number from.
func entries(from, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"sha256:%064d","artifactType":"a/b"}`, from+i)
	}
	return strings.Join(all, ",")
}

func indexWith(entries string) string {
	return `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + entries + `]}`
}

// referrersOf asks a registry that answers so for the referrers, and under the subject's tag.
func referrersOf(ctx context.Context, api, tag http.HandlerFunc) (*registry.Referrers, error) {
	GinkgoHelper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/":
		case "/v2/a/b/referrers/" + subject.String():
			api(w, r)
		case "/v2/a/b/manifests/sha256-" + subject.Hex:
			tag(w, r)
		default:
			Fail("request of " + r.URL.Path)
		}
	}))
	DeferCleanup(server.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/a/b")
	Expect(err).NotTo(HaveOccurred())
	session, err := registry.Options{Pause: time.Millisecond}.Session(ctx, repository, transport.PullScope)
	Expect(err).NotTo(HaveOccurred())
	return session.Referrers(ctx, subject)
}

func answering(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

var absent = answering(http.StatusNotFound, "application/json", `{}`)

var _ = Describe("referrers", func() {
	It("are those that the registry lists, on all pages", func(ctx SpecContext) {
		r, err := referrersOf(ctx, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType+"; charset=utf-8")
			from := 0
			if r.URL.RawQuery == "" {
				w.Header().Set("Link", `<x>; rel="last", <`+r.URL.Path+`?page=2>; rel="next"`)
			} else {
				Expect(r.URL.RawQuery).To(Equal("page=2"))
				from = 10
			}
			fmt.Fprint(w, indexWith(entries(from, 10)))
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.HasAPI).To(BeTrue())
		Expect(r.Index).To(BeEmpty())
		Expect(r.Descriptors).To(HaveLen(20))
		Expect(r.Descriptors[19].Digest.Hex).To(Equal(fmt.Sprintf("%064d", 19)))
		Expect(r.Descriptors[19].ArtifactType).To(Equal("a/b"))
	})

	It("may be none", func(ctx SpecContext) {
		r, err := referrersOf(ctx, answering(http.StatusOK, indexType, indexWith("")), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(&registry.Referrers{HasAPI: true}))
		r, err = referrersOf(ctx, absent, absent)
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(&registry.Referrers{}))
	})

	DescribeTable("are those under the tag, where the registry lists none and answers", func(ctx SpecContext, status int, contentType, body string) {
		index := indexWith(entries(3, 1) + `,{"mediaType":"a/b","size":1,"digest":"sha512:00"},7,{}`)
		r, err := referrersOf(ctx, answering(status, contentType, body), answering(http.StatusOK, "application/json", index))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.HasAPI).To(BeFalse())
		Expect(string(r.Index)).To(Equal(index))
		Expect(r.Descriptors).To(HaveLen(1), "entries that cannot be read are left out")
	},
		Entry("404", 404, "application/json", `{"errors":[{"code":"NOT_FOUND"}]}`),
		Entry("404, in plain text", 404, "text/plain", "404 page not found"),
		Entry("400", 400, "", ""), Entry("401", 401, "", ""), Entry("403", 403, "", ""), Entry("405", 405, "", ""), Entry("406", 406, "", ""), Entry("501", 501, "", ""),
		Entry("a page for people", 200, "text/html", "<html>"),
		Entry("anything without a type", 200, "", "{}"),
	)

	DescribeTable("are an error", func(ctx SpecContext, api, tag http.HandlerFunc, want string) {
		_, err := referrersOf(ctx, api, tag)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("where the registry fails", answering(500, "", ""), absent, "500"),
		Entry("where the tag cannot be read", absent, answering(403, "", ""), "403"),
		Entry("where the list is no JSON", answering(200, indexType, "x"), absent, "referrers: invalid index: invalid character 'x'"),
		Entry("where the tag holds an image", absent, answering(200, "", `{"schemaVersion":2,"config":{},"layers":[]}`), `is not an index of referrers: its media type is "application/vnd.oci.image.manifest.v1+json"`),
		Entry("where there are too many", answering(200, indexType, indexWith(entries(0, 5001))), absent, "referrers: too many referrers; the limit is 5000"),
		Entry("where there are too many under the tag", absent, answering(200, indexType, indexWith(entries(0, 5001))), "too many referrers; the limit is 5000"),
		Entry("where there are too many entries that cannot be read", answering(200, indexType, indexWith("0"+strings.Repeat(",0", 5000))), absent, "too many referrers"),
		Entry("where there are too many JSON entries", answering(200, indexType, indexWith("["+strings.Repeat("0,", 100_000)+"0]")), absent, "too many JSON entries"),
		Entry("where it is too large", answering(200, indexType, strings.Repeat(" ", 16<<20+1)), absent, "response is larger than 16 MiB"),
		Entry("where the next page is elsewhere", linking("http://other.example/x", entries(0, 1)), absent, "next page is on another host, other.example"),
		Entry("where the next page is on another port", linking("//127.0.0.1:1/x", entries(0, 1)), absent, "next page is on another host, 127.0.0.1:1"),
		Entry("where there are too many pages", linking("", ""), absent, "too many pages; the limit is 100"),
		Entry("where there are too many on all pages", linking("", entries(0, 100)), absent, "too many referrers; the limit is 5000"),
	)

	It("are read under a tag with the digest of what it holds", func(ctx SpecContext) {
		document := `{"schemaVersion":2,"config":{},"layers":[]}`
		server := httptest.NewServer(answering(200, "application/vnd.oci.image.manifest.v1+json", document))
		DeferCleanup(server.Close)
		repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/a/b")
		Expect(err).NotTo(HaveOccurred())
		session, err := registry.Options{}.Session(ctx, repository, transport.PullScope)
		Expect(err).NotTo(HaveOccurred())
		want, size, err := v1.SHA256(strings.NewReader(document))
		Expect(err).NotTo(HaveOccurred())
		for _, identifier := range []string{"tag", want.String()} {
			d, err := session.Manifest(ctx, identifier)
			Expect(err).NotTo(HaveOccurred())
			Expect(d.Digest).To(Equal(want))
			Expect(d.Descriptor()).To(Equal(v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Size: size, Digest: want}))
		}
		_, err = session.Manifest(ctx, subject.String())
		Expect(err).To(MatchError("manifest has digest " + want.String() + ", expected " + subject.String()))
	})
})

// linking answers with a page and a link to the next: its own address, if none is given.
func linking(next, entries string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if next == "" {
			next = r.URL.Path
		}
		w.Header().Set("Content-Type", indexType)
		w.Header().Set("Link", "<"+next+">;rel=next")
		fmt.Fprint(w, indexWith(entries))
	}
}
