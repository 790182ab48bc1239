package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var _ = Describe("tokens for mounts", func() {
	const realm = "https://auth.org"
	var w *world
	var o registry.Options
	BeforeEach(func(ctx SpecContext) {
		w = newWorld()
		w.tokenHost(home, realm, 300)
		serve := w.hosts[home]
		w.at(home, func(resp http.ResponseWriter, req *http.Request) {
			from, authorization := "repository:"+req.URL.Query().Get("from")+":pull", req.Header.Get("Authorization")
			if req.Method == http.MethodPost && (strings.Contains(authorization, from+"+") || strings.Contains(authorization, from+"/")) {
				resp.WriteHeader(http.StatusCreated)
				return
			}
			serve(resp, req)
		})
		o = w.options(login)
		o.Pool = registry.NewPool(0)
	})
	// mounted reads some repositories, and mounts from all of them, one after the other. It returns the
	// scopes of the tokens that it needed for that.
	mounted := func(ctx context.Context, o registry.Options, repositories int) (scopes []string) {
		GinkgoHelper()
		for i := range repositories {
			Expect(get(ctx, o, fmt.Sprintf("reg.example.com/acme/%d:1", i))).To(Succeed())
		}
		before := len(w.requests(realm))
		pusher, err := remote.NewPusher(o.Remote(ctx)...)
		Expect(err).NotTo(HaveOccurred())
		for i := range repositories {
			l := static.NewLayer([]byte(fmt.Sprint(i)), types.DockerLayer)
			from := reference(o, fmt.Sprintf("reg.example.com/acme/%d:1", i))
			to := reference(o, "reg.example.com/new:1").Context()
			Expect(pusher.Upload(registry.SkipExistsCheck(ctx), to, &remote.MountableLayer{Layer: l, Reference: from})).To(Succeed())
		}
		for _, s := range w.requests(realm)[before:] {
			scopes = append(scopes, s.scopes)
		}
		return scopes
	}
	const push = "repository:new:push,pull"

	It("are one for all repositories that were read", func(ctx SpecContext) {
		scopes := mounted(ctx, o, 5)
		Expect(scopes).To(HaveLen(2))
		Expect(scopes[0]).To(Equal(push), "the library asks for it first")
		Expect(strings.Split(scopes[1], " ")).To(ConsistOf(push, "repository:acme/0:pull", "repository:acme/1:pull", "repository:acme/2:pull", "repository:acme/3:pull", "repository:acme/4:pull"))
	})

	It("are for no repository that another login read", func(ctx SpecContext) {
		other := o
		other.Keychain = keys{authn.FromConfig(authn.AuthConfig{Username: "eve", Password: "x"})}
		Expect(get(ctx, other, "reg.example.com/secret:1")).To(Succeed())
		scopes := mounted(ctx, o, 2)
		Expect(scopes).To(HaveLen(2))
		Expect(scopes[1]).NotTo(ContainSubstring("secret"))
	})

	It("are asked for one after the other where the token server refuses many scopes, which is tried once", func(ctx SpecContext) {
		var refused atomic.Int32
		give := w.hosts[realm]
		w.at(realm, func(resp http.ResponseWriter, req *http.Request) {
			if asks := req.URL.Query()["scope"]; len(asks) == 5 && refused.Add(1) == 1 {
				resp.WriteHeader(http.StatusBadRequest)
				return
			}
			give(resp, req)
		})
		scopes := mounted(ctx, o, 4)
		Expect(refused.Load()).To(Equal(int32(2)), "all at first, and all at the end")
		Expect(scopes).To(HaveLen(2 + 4))
	})

	It("are asked for one after the other where the registry refuses a token with many scopes", func(ctx SpecContext) {
		serve := w.hosts[home]
		var refused atomic.Int32
		w.at(home, func(resp http.ResponseWriter, req *http.Request) {
			if strings.Count(req.Header.Get("Authorization"), "repository:") == 4 && refused.Add(1) == 1 {
				req.Header.Del("Authorization")
			}
			serve(resp, req)
		})
		Expect(len(mounted(ctx, o, 3))).To(BeNumerically(">=", 4))
	})

	It("are not as long as a server may refuse", func(ctx SpecContext) {
		for _, scope := range mounted(ctx, o, 250) {
			Expect(len(scope)).To(BeNumerically("<", 8000))
		}
	})
})
