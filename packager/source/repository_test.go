package source_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/source"
)

// tagsOf lists the tags of acme/root, which a registry with this handler has.
func tagsOf(ctx context.Context, answer http.HandlerFunc) ([]string, string, error) {
	GinkgoHelper()
	host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			answer(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
	repo, err := (&source.Opener{}).Repository(ctx, host+"/acme/root")
	Expect(err).NotTo(HaveOccurred())
	tags, err := repo.Tags(ctx)
	return tags, host, err
}

var _ = Describe("a repository", func() {
	It("lists all of its tags, page by page", func() {
		var want []string
		for i := range 3456 {
			want = append(want, fmt.Sprintf("v%04d", i))
		}
		pages := 0
		tags, _, err := tagsOf(context.Background(), func(w http.ResponseWriter, r *http.Request) {
			pages++
			n, err := strconv.Atoi(r.URL.Query().Get("n"))
			Expect(err).NotTo(HaveOccurred())
			from := slices.Index(want, r.URL.Query().Get("last")) + 1
			to := min(from+n, len(want))
			if to < len(want) {
				w.Header().Set("Link", fmt.Sprintf(`</v2/acme/root/tags/list?n=%d&last=%s>; rel="next"`, n, want[to-1]))
			}
			fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(want[from:to], `","`))
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(tags).To(Equal(want))
		Expect(pages).To(Equal(4))
	})

	DescribeTable("is not believed without bounds", func(body string, times int, want string) {
		_, host, err := tagsOf(context.Background(), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `</v2/acme/root/tags/list?last=x>; rel="next"`)
			for range times {
				_, _ = io.WriteString(w, body)
			}
		})
		Expect(err).To(MatchError(strings.ReplaceAll(want, "HOST", host)))
	},
		Entry("in its number of tags", `{"tags":["`+strings.Repeat(`x","`, 9999)+`x"]}`, 1,
			"HOST/acme/root: too many tags; the limit is 100000, in 2000 pages"),
		Entry("in its number of pages", `{}`, 1,
			"HOST/acme/root: too many tags; the limit is 100000, in 2000 pages"),
		Entry("in the size of a page", strings.Repeat(" ", 1<<20), 17, "HOST/acme/root: tags: response is larger than 16 MiB"),
		Entry("in what a page is", `[]`, 1, "HOST/acme/root: tags: json: cannot unmarshal array into Go value of type remote.Tags"),
	)

	It("does not lead to another registry", func() {
		_, _, err := tagsOf(context.Background(), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<http://127.0.0.1:1/v2/acme/root/tags/list>; rel="next"`)
			_, _ = io.WriteString(w, `{"tags":["1"]}`)
		})
		Expect(err).To(MatchError(ContainSubstring("does not match registry host")))
	})

	It("opens its images over one login, and their configs, but nothing large", func() {
		logins, large := 0, false
		host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case r.URL.Path == "/v2/":
				logins++
				next.ServeHTTP(w, r)
			case large && strings.Contains(r.URL.Path, "/manifests/"):
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				for range 17 {
					_, _ = w.Write(make([]byte, 1<<20))
				}
			default:
				Expect(r.URL.Path).NotTo(HaveSuffix("/tags/list"))
				next.ServeHTTP(w, r)
			}
		})
		ctx := context.Background()
		repo, err := (&source.Opener{}).Repository(ctx, host+"/acme/root")
		Expect(err).NotTo(HaveOccurred())
		for range 3 {
			base, err := repo.Image(ctx, "1", amd64)
			Expect(err).NotTo(HaveOccurred())
			Expect(base.Name).To(Equal(host + "/acme/root:1"))
		}
		Expect(logins).To(Equal(1))
		large = true
		_, err = repo.Image(ctx, "2", amd64) // 1 is remembered
		Expect(err).To(MatchError(host + "/acme/root:2: response is larger than 16 MiB"))
	})

	DescribeTable("has a name", func(written string) {
		_, err := (&source.Opener{}).Repository(context.Background(), written)
		Expect(err).To(MatchError(HavePrefix(fmt.Sprintf("repository %q: ", written))))
	}, Entry("without a tag", "localhost:5000/acme/x:1"), Entry("of letters", "ACME"), Entry("at all", ""))
})

var _ = DescribeTable("the digest of a tag", func(ctx SpecContext, head, get int, want string) {
	var asked []string
	host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		status := map[string]int{http.MethodHead: head, http.MethodGet: get}[r.Method]
		if !strings.Contains(r.URL.Path, "/manifests/") {
			next.ServeHTTP(w, r)
			return
		}
		asked = append(asked, r.Method)
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(status)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "{}")
		}
	})
	repo, err := (&source.Opener{Pause: 1}).Repository(ctx, host+"/acme/root")
	Expect(err).NotTo(HaveOccurred())
	digest, err := repo.Digest(ctx, "1.2.3")
	have := fmt.Sprint(digest.Hex != "", err != nil, source.IsAbsent(err), " ", strings.Join(asked, " "))
	Expect(have).To(Equal(want), "%v", err)
},
	Entry("is that of one request", 200, 500, "true false false HEAD"),
	Entry("is zero if there is none", 404, 500, "false false false HEAD"),
	Entry("is unknown if the registry does not show it", 401, 500, "false true true HEAD"),
	Entry("is unknown if it is forbidden", 403, 500, "false true true HEAD"),
	Entry("is that of GET, if a registry answers nothing else", 405, 200, "true false false HEAD GET"),
	Entry("is zero if GET finds none", 405, 404, "false false false HEAD GET"),
	Entry("is an error otherwise", 400, 400, "false true false HEAD GET"),
)
