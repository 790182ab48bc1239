package cli_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	password = "hunter2-hunter2"
	token    = "t0ken-of-hunter2"
)

var login = base64.StdEncoding.EncodeToString([]byte("ann:" + password))

// guarded is a registry that wants the login, or a token that it hands out for
// it, and repeats what it refuses. It keeps what it is sent, headers aside.
type guarded struct {
	host   string
	refuse bool

	mu   sync.Mutex
	sent bytes.Buffer
}

func newGuarded(bearer bool) *guarded {
	g := &guarded{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		g.mu.Lock()
		fmt.Fprintln(&g.sent, r.URL, r.Referer())
		g.sent.Write(body)
		refuse := g.refuse
		g.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		got, isToken := r.Header.Get("Authorization"), r.URL.Path == "/token"
		want, challenge := "Basic "+login, `Basic realm="x"`
		if bearer && !isToken {
			want, challenge = "Bearer "+token, fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, g.host)
		}
		switch {
		case refuse && got != "", got != want:
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":"denied"}]}`)
		case isToken:
			fmt.Fprintf(w, `{"token":%q}`, token)
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	DeferCleanup(server.Close)
	g.host = strings.TrimPrefix(server.URL, "http://")
	return g
}

// expectNoSecret checks that content has none of the secrets, in any encoding.
func expectNoSecret(where string, content []byte) {
	GinkgoHelper()
	for _, secret := range []string{password, login, token, url.QueryEscape(login), base64.StdEncoding.EncodeToString([]byte(password))} {
		Expect(bytes.Contains(content, []byte(secret))).To(BeFalse(), "%s has %s", where, secret)
	}
}

var _ = Describe("a password", func() {
	BeforeEach(enterBuilder)

	for _, bearer := range []bool{false, true} {
		for _, from := range []string{"DOCKER_CONFIG", "DOCKER_AUTH_CONFIG"} {
			It(fmt.Sprintf("of %s is not printed, kept or written anywhere (token: %v)", from, bearer), func() {
				g := newGuarded(bearer)
				auths := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, g.host, login)
				config := GinkgoT().TempDir()
				vars := map[string]string{from: auths, "LAMINATE_CACHE_DIR": filepath.Join(GinkgoT().TempDir(), "cache")}
				if from == "DOCKER_CONFIG" {
					Expect(os.WriteFile(filepath.Join(config, "config.json"), []byte(auths), 0o600)).To(Succeed())
					vars[from] = config
				}
				var said []string
				run := func(code int, args ...string) {
					GinkgoHelper()
					for _, loud := range []string{"-v", "-q"} {
						r := laminateWith(vars, append(slices.Clone(args), loud)...)
						Expect(r.code).To(Equal(code), r.stderr)
						said = append(said, r.stdout, r.stderr)
					}
				}
				builder := []string{"builder", "create", "-c", "builder.toml", "-t", "linux/amd64", "--skip-run-image-check"}
				run(0, "package", g.host+"/left:1", "--publish", "-c", "left.toml", "--tag", g.host+"/left:2")
				put("builder.toml", strings.Replace(contentOf("builder.toml"), `"left.cnb"`, `"docker://`+g.host+`/left:1"`, 1))
				run(0, append(builder, g.host+"/builder:1.0.0", "--publish")...)
				run(0, append(builder, g.host+"/builder:1.1.0", "--publish", "--previous", "docker://"+g.host+"/builder:1.0.0", "--flatten=auto")...)
				run(0, "builder", "history", g.host+"/builder", "--file", "h.json")
				g.refuse = true
				run(1, "package", g.host+"/left:3", "--publish", "-c", "left.toml")
				run(1, append(builder, g.host+"/builder:1.2.0", "--publish")...)
				run(1, "builder", "history", g.host+"/other")

				expectNoSecret("the output", []byte(strings.Join(said, "\n")))
				expectNoSecret("the registry", g.sent.Bytes())
				Expect(g.sent.Len()).To(BeNumerically(">", 10_000))
				files := 0
				for _, dir := range []string{".", vars["LAMINATE_CACHE_DIR"]} {
					Expect(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
						if err == nil && d.Type().IsRegular() {
							expectNoSecret(path, []byte(contentOf(path)))
							files++
						}
						return err
					})).To(Succeed())
				}
				Expect(files).To(BeNumerically(">", 20))
			})
		}
	}
})

func contentOf(path string) string {
	GinkgoHelper()
	data, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	return string(data)
}
