package sink_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/daemon"
	"laminate/packager/location"
	"laminate/packager/sink"
)

func inDaemon(ref string) location.Location {
	return location.Location{Kind: location.Daemon, Ref: ref, Written: "docker-daemon:" + ref}
}

// An engine speaks as much of the Docker Engine API as loading an image takes.
// It runs on linux/arm64 and keeps the ID of every tag that it was given.
type engine struct {
	tags                      map[string]string
	chains                    map[string][]string // diffIDs of the images that it lists, by ID
	store                     string              // the driver-type of its image store
	name                      string              // of its only component
	loads, refuses, inspected int                 // refuses are loads that will not work
	loaded                    []string            // files of the last archive
	says                      string              // instead of what a load that worked says
	lies                      string              // instead of the image's ID
	at                        daemon.Options
}

func newEngine() *engine {
	e := &engine{tags: map[string]string{}, chains: map[string][]string{}, name: "Engine"}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.44") })
	mux.HandleFunc("GET /v1.44/version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"Os":"linux","Arch":"arm64","Components":[{"Name":%q}]}`, e.name)
	})
	mux.HandleFunc("GET /v1.44/info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"DriverStatus":[["driver-type",%q]]}`, e.store)
	})
	mux.HandleFunc("GET /v1.44/images/json", func(w http.ResponseWriter, _ *http.Request) {
		list := []map[string]string{}
		for id := range e.chains {
			list = append(list, map[string]string{"Id": id})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("POST /v1.44/images/load", func(w http.ResponseWriter, r *http.Request) {
		if e.says == "" {
			e.load(r.Body)
			if e.loads <= e.refuses {
				clear(e.tags)
				_, _ = io.WriteString(w, `{"error":"open x.tar: no such file or directory"}`)
				return
			}
		}
		_, _ = fmt.Fprintf(w, "{\"stream\":\"Loading\"}\n%s", e.says)
	})
	mux.HandleFunc("/v1.44/images/", func(w http.ResponseWriter, r *http.Request) {
		image := strings.TrimPrefix(r.URL.Path, "/v1.44/images/")
		if source, ok := strings.CutSuffix(image, "/tag"); ok {
			e.tags[strings.TrimPrefix(r.URL.Query().Get("repo"), "docker.io/library/")+":"+r.URL.Query().Get("tag")] = source
			w.WriteHeader(http.StatusCreated)
			return
		}
		image = strings.TrimSuffix(image, "/json")
		e.inspected++
		id, ok := e.tags[image]
		for _, known := range e.tags {
			if known == image {
				id, ok = image, true
			}
		}
		if e.chains[image] != nil {
			id, ok = image, true
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"no such image"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": id, "RootFS": map[string]any{"Layers": e.chains[id]}})
	})
	server := httptest.NewServer(mux)
	DeferCleanup(server.Close)
	e.at.Host = "tcp://" + strings.TrimPrefix(server.URL, "http://")
	return e
}

func (e *engine) load(archive io.Reader) {
	e.loaded = nil
	e.loads++
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if err != nil {
			return
		}
		e.loaded = append(e.loaded, h.Name)
		var m tarball.Manifest
		if h.Name != "manifest.json" || json.NewDecoder(r).Decode(&m) != nil {
			continue
		}
		for _, t := range m[0].RepoTags {
			e.tags[t] = m[0].Config
			if e.lies != "" {
				e.tags[t] = e.lies
			}
		}
	}
}

var _ = Describe("the Docker daemon", func() {
	It("gets the image under all its names, once", func(ctx SpecContext) {
		e := newEngine()
		img := imageOf(arm64, layerOf(1, 1000))
		id := must(img.ConfigName())
		written, err := sink.Write(ctx, inDaemon("a/b"), []sink.Image{img}, sink.Options{Daemon: e.at, Tags: []string{"c:1"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(bare(written)).To(Equal([]sink.Written{{Digest: id, Destination: "docker-daemon:a/b:latest"}, {Digest: id, Destination: "docker-daemon:c:1"}}))
		Expect(e.tags).To(HaveLen(2))
		Expect(e.loaded).To(HaveLen(3))

		e.loaded = nil
		log := &recorded{}
		_, err = sink.Write(ctx, inDaemon("d:2"), []sink.Image{img}, sink.Options{Daemon: e.at, Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(e.loaded).To(BeEmpty())
		Expect(e.tags).To(HaveLen(3))
		Expect(log.lines).To(HaveExactElements(HavePrefix("reused layer")))
	})

	It("gets the image that it can run, or none", func(ctx SpecContext) {
		e := newEngine()
		log := &recorded{}
		here, there := imageOf(arm64, layerOf(1, 10)), imageOf(amd64, layerOf(1, 10))
		written, err := sink.Write(ctx, inDaemon("x"), []sink.Image{there, here}, sink.Options{Daemon: e.at, Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(written[0].Digest).To(Equal(must(here.ConfigName())))
		Expect(log.lines).To(ContainElement(ContainSubstring("skipped: linux/amd64.")))
		_, err = sink.Write(ctx, inDaemon("x"), []sink.Image{there, there}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError("output docker-daemon:x: no image for the Docker daemon's platform linux/arm64; available: linux/amd64, linux/amd64"))
	})

	It("is believed when it says in a good answer that it could not", func(ctx SpecContext) {
		e := newEngine()
		e.says = `{"errorDetail":{"message":"max depth exceeded"},"error":"max depth exceeded"}`
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{imageOf(arm64, layerOf(1, 3_000_000))}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError(ContainSubstring("loading: Docker daemon: max depth exceeded")))
	})

	It("is not believed about an image that it does not have", func(ctx SpecContext) {
		e := newEngine()
		e.lies = "sha256:" + strings.Repeat("0", 64)
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{imageOf(arm64, layerOf(1, 10))}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError(ContainSubstring("the Docker daemon has " + e.lies + " under x:latest")))
	})

	It("gets nothing of a lying layer, or of a write that is interrupted", func(ctx SpecContext) {
		e := newEngine()
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{reread(imageOf(arm64, layerOf(1, 100_000)), flipped)}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError(ContainSubstring("content is sha256:")))
		cctx, cancel, soon := interruptible(ctx)
		_, err = sink.Write(cctx, inDaemon("x"), []sink.Image{reread(imageOf(arm64, layerOf(1, 3_000_000)), cancelling(cancel, 1_000_000))}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError(context.Canceled))
		soon()
		Expect(e.tags).To(BeEmpty())
	})

	It("that does not answer is named, and so is what else can be done", func(ctx SpecContext) {
		e := &engine{at: daemon.Options{Host: "unix://" + GinkgoT().TempDir() + "/none.sock"}}
		_, err := sink.Write(ctx, inDaemon("a/b"), []sink.Image{imageOf(arm64, layerOf(1, 10))}, sink.Options{Daemon: e.at})
		Expect(err).To(MatchError(And(HavePrefix("no Docker daemon responds ("),
			HaveSuffix("write to a file instead (b.cnb), to a layout (oci:DIR), or to a registry (--publish, docker://REF)"))))
	})
})
