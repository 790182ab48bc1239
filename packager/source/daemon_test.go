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
	dockerd "laminate/packager/daemon"
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
	old    bool              // refuses to pull what names no architecture, if one is asked for, as Docker 20.10
	labels map[string]string // of every image
	at     dockerd.Options
}

func startDaemon() *daemon {
	d := &daemon{has: map[string]string{}, remote: map[string]string{}}
	server := httptest.NewServer(d)
	DeferCleanup(server.Close)
	d.at.Host = strings.Replace(server.URL, "http://", "tcp://", 1)
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
		if d.old && r.URL.Query().Get("platform") != "" {
			fail(500, "image with reference "+image+" was found but does not match the specified platform: wanted linux/amd64, actual: linux/")
			return
		}
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
		fmt.Fprintf(w, `{"Id":%q,"Size":123,"Os":"linux","Architecture":"amd64","Config":{"Labels":%s}}`, "id:"+d.has[image], asJSON(d.labels))
	default:
		fail(500, "unexpected "+r.URL.String())
	}
}

var _ = Describe("the Docker daemon", func() {
	archive := func(target flatten.Target) string {
		return uncompressedDocker(sample{compression: layer.Gzip, target: target}.image(), nil)
	}
	askFor := func(kind location.Kind, policy source.PullPolicy, ref string) (*daemon, error) {
		d := startDaemon()
		d.has["acme/old:1"] = archive(amd64)
		d.remote["acme/old:1"] = archive(amd64)
		d.remote["acme/new:1"] = archive(amd64)
		d.has["acme/local:1"] = archive(amd64)
		d.has["acme/broken:1"] = archive(amd64)
		d.remote["acme/broken:1"] = "broken"
		o := opener()
		o.PullPolicy, o.Keychain, o.Daemon, o.FromDaemon = policy, keychain{}, d.at, true
		_, err := o.Package(context.Background(), at(kind, "", ref), flatten.Buildpack, amd64)
		return d, err
	}
	ask := func(policy source.PullPolicy, ref string) (*daemon, error) {
		return askFor(location.Daemon, policy, ref)
	}

	DescribeTable("pulls as it is told",
		func(policy source.PullPolicy, ref string, log ...string) {
			d, err := ask(policy, ref)
			Expect(err).NotTo(HaveOccurred())
			Expect(d.log).To(Equal(log))
		},
		Entry("always, what is there", source.Always, "acme/old:1", "pull acme/old:1 linux/amd64", "save"),
		Entry("if not present, by default, where it is named as the daemon's", source.PullPolicy(""), "acme/old:1", "save"),
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
		Entry("a pull that breaks off", source.Always, "acme/broken:1", "the disk is full; --pull-policy if-not-present uses the daemon's image"),
	)

	DescribeTable("has the images that TOML files list, as it is told",
		func(policy source.PullPolicy, ref string, log ...string) {
			d, err := askFor(location.Listed, policy, ref)
			Expect(err).NotTo(HaveOccurred())
			Expect(d.log).To(Equal(log))
		},
		Entry("always, by default", source.PullPolicy(""), "acme/old:1", "pull acme/old:1 linux/amd64", "save"),
		Entry("always, by default, what is there alone", source.PullPolicy(""), "acme/local:1", "pull acme/local:1 linux/amd64", "save"),
		Entry("if not present, what is there", source.IfNotPresent, "acme/old:1", "save"),
		Entry("if not present, what is new", source.IfNotPresent, "acme/new:1", "pull acme/new:1 linux/amd64", "save"),
		Entry("never, what is there", source.Never, "acme/old:1", "save"),
	)

	DescribeTable("pulls nothing in a dry run, which reads what it would pull",
		func(kind location.Kind, policy source.PullPolicy, name, want string, log ...string) {
			host := serve()
			push(host+"/acme/both:1", sample{compression: layer.Gzip, target: flatten.Target{OS: "linux", Arch: "arm64"}}.image())
			d := startDaemon()
			d.has[host+"/acme/both:1"], d.has[host+"/acme/local:1"] = archive(amd64), archive(amd64)
			o := opener()
			o.PullPolicy, o.Daemon, o.FromDaemon, o.DryRun = policy, d.at, true, true
			p, err := o.Package(context.Background(), at(kind, "", host+name), flatten.Buildpack, flatten.Target{OS: "linux"})
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Target.Arch).To(Equal(want))
			Expect(strings.Join(d.log, " ")).To(Equal(strings.Join(log, " ")))
			config, err := o.Config(context.Background(), at(kind, "", host+name), flatten.Target{OS: "linux"})
			Expect(err).NotTo(HaveOccurred())
			Expect(config.Architecture).To(Equal(want))
			Expect(strings.Join(d.log, " ")).To(Equal(strings.Join(log, " ")))
		},
		Entry("always, what both have", location.Listed, source.Always, "/acme/both:1", "arm64"),
		Entry("always, by default, what both have", location.Listed, source.PullPolicy(""), "/acme/both:1", "arm64"),
		Entry("always, what is there alone", location.Listed, source.Always, "/acme/local:1", "amd64", "save"),
		Entry("if not present, what both have", location.Daemon, source.IfNotPresent, "/acme/both:1", "amd64", "save"),
		Entry("never, what both have", location.Daemon, source.Never, "/acme/both:1", "amd64", "save"),
	)

	It("reads what the daemon alone has in a dry run, where a registry answers 401 for what it does not have", func() {
		host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
		d := startDaemon()
		d.has[host+"/acme/local:1"] = archive(amd64)
		o := opener()
		o.Daemon, o.FromDaemon, o.DryRun = d.at, true, true
		p, err := o.Package(context.Background(), at(location.Listed, "", host+"/acme/local:1"), flatten.Buildpack, amd64)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Target.Arch).To(Equal("amd64"))
	})

	It("and no registry is asked under never", func() {
		for _, kind := range []location.Kind{location.Listed, location.Daemon, location.Name} {
			asked := 0
			host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) { asked++; next.ServeHTTP(w, r) })
			d, err := askFor(kind, source.Never, host+"/acme/root:1")
			Expect(err).To(MatchError(ContainSubstring("not in the Docker daemon, and the pull policy is never")))
			Expect(err).To(MatchError(source.ErrNotThere))
			Expect(d.log).To(BeEmpty())
			Expect(asked).To(BeZero())
		}
	})

	It("does not have the images that TOML files list, where the output goes elsewhere", func() {
		host := serve()
		push(host+"/acme/root:1", sample{compression: layer.Gzip, target: amd64}.image())
		d := startDaemon()
		o := opener()
		o.Daemon = d.at
		_, err := o.Package(context.Background(), at(location.Listed, "", host+"/acme/root:1"), flatten.Buildpack, amd64)
		Expect(err).NotTo(HaveOccurred())
		Expect(d.log).To(BeEmpty())
	})

	It("pulls an image that names no architecture", func() {
		d := startDaemon()
		d.old, d.remote["acme/new:1"] = true, archive(flatten.Target{OS: "linux"})
		o := opener()
		o.Daemon, o.FromDaemon = d.at, true
		_, err := o.Package(context.Background(), at(location.Listed, "", "acme/new:1"), flatten.Buildpack, amd64)
		Expect(err).NotTo(HaveOccurred())
		Expect(d.log).To(Equal([]string{"pull acme/new:1 linux/amd64", "pull acme/new:1", "save"}))
	})

	It("tells of an image that is pulled for it, and does not save it", func() {
		d := startDaemon()
		d.remote["acme/run:1"], d.labels = "run", map[string]string{"io.buildpacks.stack.id": "acme"}
		o := opener()
		o.Daemon, o.FromDaemon = d.at, true
		config, err := o.Config(context.Background(), at(location.Listed, "", "acme/run:1"), amd64)
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Config.Labels).To(Equal(d.labels))
		Expect(config.Architecture).To(Equal("amd64"))
		Expect(d.log).To(Equal([]string{"pull acme/run:1 linux/amd64"}))
		_, err = o.Config(context.Background(), at(location.Listed, "", "acme/run:1"), arm64)
		Expect(err).To(MatchError("acme/run:1: platform is linux/amd64, expected linux/arm64"))
		_, err = o.Config(context.Background(), at(location.Listed, "", "acme/none:1"), amd64)
		Expect(err).To(MatchError(source.ErrNotThere))
	})

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
		o.PullPolicy, o.Daemon = source.Never, d.at
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
		o.PullPolicy, o.Limits.Bytes, o.Daemon = source.Never, 10_000, d.at
		_, err := o.Package(context.Background(), at(location.Daemon, "", "acme/old:1"), flatten.Buildpack, amd64)
		Expect(err).To(MatchError(ContainSubstring("exceeds the limit of 10000 bytes")))
		left, err := os.ReadDir(o.WorkDir)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	})

	It("that does not answer is named, with what to write instead", func() {
		o := opener()
		o.Daemon.Host = "tcp://127.0.0.1:1"
		_, err := o.Package(context.Background(), at(location.Daemon, "", "acme/old:1"), flatten.Buildpack, amd64)
		Expect(err).To(MatchError(And(HavePrefix("acme/old:1: no Docker daemon responds ("), ContainSubstring("docker://REF"))))
	})

	It("comes before a registry for a plain reference, where it is preferred and has it", func() {
		host := serve()
		img := func(target flatten.Target) v1.Image { return sample{compression: layer.Gzip, target: target}.image() }
		push(host+"/acme/root:1", img(arm64))
		d := startDaemon()
		where := d.at
		loc := at(location.Name, "", host+"/acme/root:1")
		o := func(prefer bool) flatten.Target {
			o := opener()
			o.FromDaemon, o.PullPolicy, o.Daemon = prefer, source.IfNotPresent, where
			p, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
			Expect(err).NotTo(HaveOccurred())
			return p.Target
		}
		Expect(o(true)).To(Equal(arm64), "it does not have it")
		d.has[host+"/acme/root:1"] = archive(amd64)
		Expect(o(true)).To(Equal(amd64))
		Expect(o(false)).To(Equal(arm64))
		where.Host = "tcp://127.0.0.1:1"
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
