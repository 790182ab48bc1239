package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var (
	login = authn.AuthConfig{Username: "ann", Password: "secret"}
	basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret"))
)

const home = "https://reg.example.com"

// chain lets each address lead to the next one; each is on a host of its own,
// or has a path of its own.
func (w *world) chain(addresses []string, last http.HandlerFunc) {
	type place struct{ at, path string }
	next := map[place]string{}
	where := func(address string) place {
		scheme, rest, _ := strings.Cut(address, "://")
		host, path, _ := strings.Cut(rest, "/")
		host = strings.ToLower(host[strings.LastIndex(host, "@")+1:])
		if scheme == "https" {
			host = strings.TrimSuffix(host, ":443")
		}
		return place{scheme + "://" + host, "/" + path}
	}
	for i, address := range addresses {
		from := where(address)
		if i+1 < len(addresses) {
			next[from] = addresses[i+1]
		}
		serve := func(resp http.ResponseWriter, req *http.Request) {
			if to := next[place{from.at, req.URL.Path}]; to != "" {
				resp.Header().Set("Location", to)
				resp.WriteHeader(http.StatusTemporaryRedirect)
				return
			}
			last(resp, req)
		}
		w.at(from.at, serve)
		w.at(from.at+":443", serve)
	}
}

// The hops that a request takes when it is redirected, and which of them get
// the credentials that it has for the first. Each host of the first entry of
// a row that is another one gets none.
var hopRows = []struct {
	what string
	hops []string
	want []bool // of each hop, the first included
}{
	{"the same host", []string{home + "/2"}, []bool{true, true}},
	{"the same host, with the port that goes without saying", []string{"https://reg.example.com:443/2"}, []bool{true, true}},
	{"the same host, in capitals", []string{"https://REG.example.com/2"}, []bool{true, true}},
	{"the same host, other port", []string{"https://reg.example.com:8443/2"}, []bool{true, false}},
	{"the same host in the clear", []string{"http://reg.example.com/2"}, []bool{true, false}},
	{"a subdomain", []string{"https://blobs.reg.example.com/2"}, []bool{true, false}},
	{"the parent domain", []string{"https://example.com/2"}, []bool{true, false}},
	{"a name that begins alike", []string{"https://reg.example.com.evil.org/2"}, []bool{true, false}},
	{"another host", []string{"https://storage.org/2"}, []bool{true, false}},
	{"a user of its own at another host", []string{"https://eve:evil@storage.org/2"}, []bool{true, false}},
	{"a user of its own at the same host", []string{"https://eve:evil@reg.example.com/2"}, []bool{true, true}},
	{"there and back", []string{"https://storage.org/2", home + "/3"}, []bool{true, false, true}},
	{"a subdomain and back", []string{"https://blobs.reg.example.com/2", home + "/3"}, []bool{true, false, true}},
	{"another port and back", []string{"https://reg.example.com:8443/2", home + "/3"}, []bool{true, false, true}},
	{"out of TLS and back", []string{"http://reg.example.com/2", home + "/3"}, []bool{true, false, true}},
	{"farther and farther", []string{home + "/2", "https://blobs.reg.example.com/3", "https://storage.org/4"}, []bool{true, true, false, false}},
}

var _ = Describe("credentials", func() {
	for _, row := range hopRows {
		for kind, first := range map[string]string{"in the header": home + "/1", "in the address": "https://ann:secret@reg.example.com/1"} {
			It("that are "+kind+" go only where they are for: "+row.what, func(ctx SpecContext) {
				w := newWorld()
				w.chain(append([]string{first}, row.hops...), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "there") })
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, first, nil)
				Expect(err).NotTo(HaveOccurred())
				if kind == "in the header" {
					req.Header.Set("Authorization", basic)
				}
				o := w.options(login)
				o.Insecure = []string{"reg.example.com"} // it is asked in the clear, too: only without credentials
				resp, err := (&http.Client{Transport: o.Retrying()}).Do(req)
				Expect(err).NotTo(HaveOccurred())
				Expect(io.ReadAll(resp.Body)).To(BeEquivalentTo("there"))
				Expect(resp.Body.Close()).To(Succeed())
				var got []bool
				for _, s := range w.requests("") {
					Expect(s.authorization).To(Or(BeEmpty(), Equal(basic)))
					got = append(got, s.authorization != "")
				}
				Expect(got).To(Equal(row.want))
			})
		}
	}

	// pull reads a blob of acme/x through the library.
	pull := func(ctx context.Context, o registry.Options, digest string) ([]byte, error) {
		ref, err := o.ParseReference("reg.example.com/acme/x@" + digest)
		Expect(err).NotTo(HaveOccurred())
		l, err := remote.Layer(ref.(name.Digest), o.Remote(ctx)...)
		if err != nil {
			return nil, err
		}
		r, err := l.Compressed()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	// guarded is a registry that wants a token, which auth.org gives for the
	// login, or the login itself.
	guarded := func(w *world, bearer bool, then http.HandlerFunc) http.HandlerFunc {
		w.at("https://auth.org", func(resp http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != basic {
				resp.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(resp, `{"token":"home"}`)
		})
		want, challenge := basic, `Basic realm="x"`
		if bearer {
			want, challenge = "Bearer home", `Bearer realm="https://auth.org/token",service="x"`
		}
		return func(resp http.ResponseWriter, req *http.Request) {
			switch {
			case req.Header.Get("Authorization") != want:
				resp.Header().Set("WWW-Authenticate", challenge)
				resp.WriteHeader(http.StatusUnauthorized)
			case req.URL.Path == "/v2/":
			default:
				then(resp, req)
			}
		}
	}

	for _, row := range hopRows {
		if strings.Contains(row.what, "clear") || strings.Contains(row.what, "TLS") {
			continue // the library goes back to TLS before the request leaves it
		}
		for _, bearer := range []bool{false, true} {
			It(fmt.Sprintf("stay where they are for when a blob is resumed, twice: %s (token: %v)", row.what, bearer), func(ctx SpecContext) {
				w := newWorld()
				body, digest := blob(3 << 20)
				first := home + "/v2/acme/x/blobs/" + digest
				serve := serveBlob(body, 2)
				w.chain(append([]string{first}, row.hops...), serve)
				for _, at := range []string{home, home + ":443"} {
					w.at(at, guarded(w, bearer, w.hosts[at]))
				}
				Expect(pull(ctx, w.options(login), digest)).To(Equal(body))
				blobs := 0
				for _, s := range w.requests("") {
					switch {
					case strings.TrimSuffix(s.at, ":443") == home:
						if s.path == "/v2/acme/x/blobs/"+digest {
							blobs++
						}
					case s.at == "https://auth.org":
						Expect(s.authorization).To(Equal(basic))
					default:
						Expect(s.authorization).To(BeEmpty(), s.at)
					}
				}
				Expect(blobs).To(Equal(3), "each resumption asks the registry anew")
			})
		}
	}

	It("of another registry are its own, handed out to anybody", func(ctx SpecContext) {
		w := newWorld()
		body, digest := blob(1000)
		w.at(home, guarded(w, true, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://mirror.org"+r.URL.Path, http.StatusTemporaryRedirect)
		}))
		w.at("https://mirror.org", func(resp http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != "Bearer mirror" {
				resp.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.mirror.org/token",service="x",scope="y"`)
				resp.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = resp.Write(body)
		})
		w.at("https://auth.mirror.org", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"mirror"}`) })
		Expect(pull(ctx, w.options(login), digest)).To(Equal(body))
		for _, s := range w.requests("https://auth.mirror.org") {
			Expect(s.authorization).To(BeEmpty())
		}
		for _, s := range w.requests("https://mirror.org") {
			Expect(s.authorization).To(Or(BeEmpty(), Equal("Bearer mirror")))
		}
	})

	DescribeTable("are given to the token server that the registry names, and to none that this one names",
		func(ctx SpecContext, auth authn.AuthConfig, status int, to string, want string) {
			w := newWorld()
			_, digest := blob(10)
			w.at(home, guarded(w, true, func(http.ResponseWriter, *http.Request) {}))
			w.at("https://auth.org", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					w.Header().Set("Location", to)
					w.WriteHeader(status)
					return
				}
				_, _ = io.WriteString(w, `{"token":"home"}`)
			})
			w.at(to[:strings.LastIndex(to, "/")], w.hosts["https://auth.org"])
			o := w.options(auth)
			o.Insecure = []string{"auth.org"}
			_, err := pull(ctx, o, digest)
			Expect(err).To(HaveOccurred())
			Expect(registry.Explain(err, "reg.example.com/acme/x")).To(MatchError(ContainSubstring(want)))
			for _, s := range w.requests("") {
				if s.at == "https://auth.org" {
					continue
				}
				Expect(s.authorization).NotTo(Equal(basic), s.at)
				Expect(s.body).NotTo(ContainSubstring("secret"), s.at)
			}
		},
		Entry("a login, to a subdomain", login, 302, "https://evil.auth.org/x", ""),
		Entry("a login, to another port", login, 307, "https://auth.org:8443/x", ""),
		Entry("a login, out of TLS", login, 307, "http://auth.org/x", ""),
		Entry("an identity token, to another host", authn.AuthConfig{IdentityToken: "secret"}, 307, "https://evil.org/x", "token server auth.org redirects the login to evil.org; logins must not be redirected"),
		Entry("an identity token, to another port", authn.AuthConfig{IdentityToken: "secret"}, 308, "https://auth.org:8443/x", "token server auth.org redirects the login to auth.org:8443; logins must not be redirected"),
		Entry("an identity token, out of TLS", authn.AuthConfig{IdentityToken: "secret"}, 307, "http://auth.org/x", "not allowed"),
	)

	It("are not given to a token server in the clear", func(ctx SpecContext) {
		w := newWorld()
		_, digest := blob(10)
		w.at(home, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://auth.org/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		_, err := pull(ctx, w.options(login), digest)
		Expect(err).To(HaveOccurred())
		Expect(w.requests("http://auth.org")).To(BeEmpty())
	})

	It("are not sent with a layer that goes to storage", func(ctx SpecContext) {
		w := newWorld()
		body, digest := blob(1000)
		var sent bytes.Buffer
		w.at(home, guarded(w, true, func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodHead:
				w.WriteHeader(http.StatusNotFound)
			default:
				w.Header().Set("Location", "https://storage.org/upload?signature=x")
				w.WriteHeader(http.StatusAccepted)
			}
		}))
		w.at("https://storage.org", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				w.WriteHeader(http.StatusCreated)
				return
			}
			_, _ = io.Copy(&sent, r.Body)
			w.Header().Set("Location", "/commit")
			w.WriteHeader(http.StatusAccepted)
		})
		pushBlob(ctx, w.options(login), body)
		Expect(sent.Bytes()).To(Equal(body))
		Expect(w.requests("https://storage.org")).To(HaveLen(2))
		for _, s := range w.requests("https://storage.org") {
			Expect(s.authorization).To(BeEmpty())
		}
		_ = digest
	})

	// An upload goes on where its Location says, which is no redirect.
	for _, bearer := range []bool{false, true} {
		DescribeTable(fmt.Sprintf("go with an upload only where they are for (token: %v)", bearer), func(ctx SpecContext, location string, want bool) {
			w := newWorld()
			body, _ := blob(1000)
			auth := guarded(w, bearer, func(http.ResponseWriter, *http.Request) {})
			serve := func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/v2/") {
					if auth(w, r); r.Header.Get("Authorization") == "" {
						return
					}
				}
				switch r.Method {
				case http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case http.MethodPost:
					w.Header().Set("Location", location)
					w.WriteHeader(http.StatusAccepted)
				case http.MethodPatch:
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusAccepted)
				case http.MethodPut:
					w.WriteHeader(http.StatusCreated)
				}
			}
			for _, at := range []string{home, "https://reg.example.com:443", "https://reg.example.com:8443", "http://reg.example.com", "http://reg.example.com:80", "https://blobs.reg.example.com"} {
				w.at(at, serve)
			}
			o := w.options(login)
			o.Insecure = []string{"reg.example.com"}
			_ = tryPush(ctx, o, body)
			uploads := 0
			for _, s := range w.requests("") {
				if s.path != "/up" {
					continue
				}
				uploads++
				Expect(s.authorization != "").To(Equal(want), s.at)
				if s.authorization != "" {
					Expect(s.at).To(HavePrefix("https://"))
				}
			}
			Expect(uploads).To(BeNumerically(">", 0))
		},
			Entry("the same host", "/up", true),
			Entry("the same host, with its address", home+"/up", true),
			Entry("the same host in the clear, which is asked in TLS", "http://reg.example.com/up", true),
			Entry("the same host in the clear, with the port of that", "http://reg.example.com:80/up", false),
			Entry("another port", "https://reg.example.com:8443/up", false),
			Entry("a subdomain", "https://blobs.reg.example.com/up", false),
		)
	}
})
