package source_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/source"
)

// daemon speaks what little of the Docker Engine API a source needs. Its
// images are archives, by name.
type daemon struct {
	mu     sync.Mutex
	has    map[string]string
	remote map[string]string // what a pull finds
	log    []string
	auth   string
}

func startDaemon() *daemon {
	d := &daemon{has: map[string]string{}, remote: map[string]string{}}
	server := httptest.NewServer(d)
	DeferCleanup(server.Close)
	GinkgoT().Setenv("DOCKER_HOST", strings.Replace(server.URL, "http://", "tcp://", 1))
	return d
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, call, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if strings.HasSuffix(r.URL.Path, "/_ping") {
		w.Header().Set("Api-Version", "1.45")
		return
	}
	image := strings.TrimSuffix(strings.TrimPrefix(call, "images/"), "/json")
	w.Header().Set("Content-Type", "application/json")
	fail := func(code int, message string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message":%q}`, message)
	}
	switch {
	case call == "images/create":
		image = r.URL.Query().Get("fromImage") + ":" + r.URL.Query().Get("tag")
		image = strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
		d.log = append(d.log, strings.TrimSpace("pull "+image+" "+r.URL.Query().Get("platform")))
		d.auth = r.Header.Get("X-Registry-Auth")
		switch found := d.remote[image]; found {
		case "":
			fail(404, "pull access denied for "+image)
		case "broken":
			fmt.Fprintln(w, `{"status":"Pulling"}`)
			fmt.Fprintln(w, `{"errorDetail":{"message":"the disk is full"},"error":"the disk is full"}`)
		default:
			d.has[image] = found
			fmt.Fprintln(w, `{"status":"Downloaded"}`)
		}
	case call == "images/get":
		d.log = append(d.log, "save")
		http.ServeFile(w, r, strings.TrimPrefix(r.URL.Query().Get("names"), "id:"))
	case strings.HasSuffix(call, "/json"):
		if d.has[image] == "" {
			fail(404, "No such image: "+image)
			return
		}
		fmt.Fprintf(w, `{"Id":%q,"Size":123}`, "id:"+d.has[image])
	default:
		fail(500, "unexpected "+r.URL.String())
	}
}

var _ = Describe("the Docker daemon", func() {
	archive := func(target flatten.Target) string {
		return uncompressedDocker(sample{compression: layer.Gzip, target: target}.image(), nil)
	}
	ask := func(policy source.PullPolicy, ref string) (*daemon, error) {
		d := startDaemon()
		d.has["acme/old:1"] = archive(amd64)
		d.remote["acme/old:1"] = archive(amd64)
		d.remote["acme/new:1"] = archive(amd64)
		d.has["acme/local:1"] = archive(amd64)
		d.has["acme/broken:1"] = archive(amd64)
		d.remote["acme/broken:1"] = "broken"
		o := opener()
		o.PullPolicy, o.Keychain = policy, keychain{}
		_, err := o.Package(context.Background(), at(location.Daemon, "", ref), flatten.Buildpack, amd64)
		return d, err
	}

	DescribeTable("pulls as it is told",
		func(policy source.PullPolicy, ref string, log ...string) {
			d, err := ask(policy, ref)
			Expect(err).NotTo(HaveOccurred())
			Expect(d.log).To(Equal(log))
		},
		Entry("always, what is there", source.Always, "acme/old:1", "pull acme/old:1 linux/amd64", "save"),
		Entry("always, by default", source.PullPolicy(""), "acme/old:1", "pull acme/old:1 linux/amd64", "save"),
		Entry("always, what is new", source.Always, "acme/new:1", "pull acme/new:1 linux/amd64", "save"),
		Entry("always, what is there alone", source.Always, "acme/local:1", "pull acme/local:1 linux/amd64", "save"),
		Entry("if not present, what is there", source.IfNotPresent, "acme/old:1", "save"),
		Entry("if not present, what is new", source.IfNotPresent, "acme/new:1", "pull acme/new:1 linux/amd64", "save"),
		Entry("never, what is there", source.Never, "acme/old:1", "save"),
	)

	DescribeTable("says why it cannot",
		func(policy source.PullPolicy, ref, why string) {
			_, err := ask(policy, ref)
			Expect(err).To(MatchError(And(HavePrefix(ref+": "), ContainSubstring(why))))
		},
		Entry("never, what is new", source.Never, "acme/new:1", "the pull policy is never"),
		Entry("always, what is nowhere", source.Always, "acme/none:1", "pull access denied"),
		Entry("a pull that breaks off", source.Always, "acme/broken:1", "the disk is full; pull policy if-not-present takes what the daemon has"),
	)

	It("is given credentials", func() {
		d, err := ask(source.Always, "acme/new:1")
		Expect(err).NotTo(HaveOccurred())
		data, err := base64.URLEncoding.DecodeString(d.auth)
		Expect(err).NotTo(HaveOccurred())
		var auth map[string]string
		Expect(json.Unmarshal(data, &auth)).To(Succeed())
		Expect(auth).To(Equal(map[string]string{"username": "ann", "password": "secret", "serveraddress": "index.docker.io"}))
	})

	It("saves an image once, and gives what it holds", func() {
		d := startDaemon()
		d.has["acme/old:1"] = archive(amd64)
		o := opener()
		o.PullPolicy = source.Never
		for range 2 {
			p, err := o.Package(context.Background(), at(location.Daemon, "", "acme/old:1"), flatten.Buildpack, amd64)
			Expect(err).NotTo(HaveOccurred())
			Expect(listing(p.Modules[1].Piece)).To(Equal(want("acme/a")))
		}
		Expect(d.log).To(Equal([]string{"save"}))
	})

	It("saves no more than the limits", func() {
		d := startDaemon()
		d.has["acme/old:1"] = archive(amd64)
		o := opener()
		o.PullPolicy, o.Limits.Bytes = source.Never, 10_000
		_, err := o.Package(context.Background(), at(location.Daemon, "", "acme/old:1"), flatten.Buildpack, amd64)
		Expect(err).To(MatchError(ContainSubstring("more than the limit of 10000 bytes")))
		left, err := os.ReadDir(o.WorkDir)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	})

	It("that does not answer is named, with what to write instead", func() {
		GinkgoT().Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
		_, err := openAt(at(location.Daemon, "", "acme/old:1"), amd64)
		Expect(err).To(MatchError(And(HavePrefix("acme/old:1: no Docker daemon answers ("), ContainSubstring("docker://REF"))))
	})

	It("comes before a registry for a plain reference, where it is preferred and has it", func() {
		host := serve()
		img := func(target flatten.Target) v1.Image { return sample{compression: layer.Gzip, target: target}.image() }
		push(host+"/acme/root:1", img(arm64))
		d := startDaemon()
		loc := at(location.Name, "", host+"/acme/root:1")
		o := func(prefer bool) flatten.Target {
			o := opener()
			o.PreferDaemon, o.PullPolicy = prefer, source.IfNotPresent
			p, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
			Expect(err).NotTo(HaveOccurred())
			return p.Target
		}
		Expect(o(true)).To(Equal(arm64), "it does not have it")
		d.has[host+"/acme/root:1"] = archive(amd64)
		Expect(o(true)).To(Equal(amd64))
		Expect(o(false)).To(Equal(arm64))
		GinkgoT().Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
		Expect(o(true)).To(Equal(arm64), "there is none")
	})
})

var _ = Describe("ParsePullPolicy", func() {
	It("reads the three names", func() {
		for _, p := range []source.PullPolicy{source.Always, source.IfNotPresent, source.Never} {
			Expect(source.ParsePullPolicy(string(p))).To(Equal(p))
		}
		_, err := source.ParsePullPolicy("sometimes")
		Expect(err).To(MatchError(ContainSubstring("if-not-present")))
	})
})
