package registry_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// auths is a config.json with one login.
func auths(host, login string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(login)))
}

// configFile writes a file of credentials.
func configFile(content string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "config.json")
	Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}

// helper puts a credential helper into PATH.
func helper(name, script string) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	Expect(os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\nread host\n"+script+"\n"), 0o755)).To(Succeed())
	GinkgoT().Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// loginOf returns who a keychain logs in as, as USER:PASSWORD, or "".
func loginOf(k *registry.DockerKeychain, repository string) (string, error) {
	GinkgoHelper()
	repo, err := name.NewRepository(repository)
	Expect(err).NotTo(HaveOccurred())
	found, err := k.Resolve(repo)
	if err != nil {
		return "", err
	}
	if found == authn.Anonymous {
		return "", nil
	}
	auth, err := found.Authorization()
	Expect(err).NotTo(HaveOccurred())
	return auth.Username + ":" + auth.Password, nil
}

var _ = Describe("DockerKeychain", func() {
	DescribeTable("finds credentials",
		func(auth string, files []string, repository, want string) {
			k := &registry.DockerKeychain{Auth: auth}
			for _, content := range files {
				if content == "none" {
					k.Files = append(k.Files, "/nonexistent/config.json")
				} else {
					k.Files = append(k.Files, configFile(content))
				}
			}
			Expect(loginOf(k, repository)).To(Equal(want))
		},
		Entry("in config.json", "", []string{auths("r.example", "ann:a")}, "r.example/x", "ann:a"),
		Entry("for Docker Hub", "", []string{auths("https://index.docker.io/v1/", "ann:a")}, "acme/x", "ann:a"),
		Entry("by an old URL", "", []string{auths("https://r.example/v1/", "ann:a")}, "r.example/x", "ann:a"),
		Entry("for a repository before its host", "", []string{`{"auths":{"r.example":{"auth":"YW5uOmE="},"r.example/x":{"auth":"Ym9iOmI="}}}`}, "r.example/x", "bob:b"),
		Entry("in the first file that exists", "", []string{"none", auths("r.example", "ann:a"), auths("r.example", "bob:b")}, "r.example/x", "ann:a"),
		Entry("nowhere but in the first file", "", []string{`{}`, auths("r.example", "bob:b")}, "r.example/x", ""),
		Entry("of another port", "", []string{auths("r.example:5000", "ann:a")}, "r.example/x", ""),
		Entry("of another host", "", []string{auths("example", "ann:a")}, "r.example/x", ""),
		Entry("without any file", "", nil, "r.example/x", ""),
		Entry("in DOCKER_AUTH_CONFIG without a file", auths("r.example", "ann:a"), nil, "r.example/x", "ann:a"),
		Entry("in DOCKER_AUTH_CONFIG with an empty file", auths("r.example", "ann:a"), []string{`{}`}, "r.example/x", "ann:a"),
		Entry("in DOCKER_AUTH_CONFIG before the file", auths("r.example", "ann:a"), []string{auths("r.example", "bob:b")}, "r.example/x", "ann:a"),
		Entry("in the file for what DOCKER_AUTH_CONFIG lacks", auths("other", "ann:a"), []string{auths("r.example", "bob:b")}, "r.example/x", "bob:b"),
		Entry("in the file where DOCKER_AUTH_CONFIG is invalid", "{", []string{auths("r.example", "bob:b")}, "r.example/x", "bob:b"),
	)

	It("warns of a DOCKER_AUTH_CONFIG that it cannot read, and shows nothing of it", func() {
		for _, auth := range []string{`{"auths":{"r.example":{"auth":"c2VjcmV0"}}}`, `secret`} {
			var warned []string
			k := &registry.DockerKeychain{Auth: auth, Warn: func(m string) { warned = append(warned, m) }}
			Expect(loginOf(k, "r.example/x")).To(BeEmpty())
			Expect(warned).To(HaveExactElements(HavePrefix("invalid DOCKER_AUTH_CONFIG")))
			Expect(warned[0]).NotTo(Or(ContainSubstring("secret"), ContainSubstring("c2VjcmV0")))
		}
	})

	It("asks a credential helper", func() {
		helper("acme", `echo '{"Username":"ann","Secret":"from '$host'"}'`)
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credHelpers":{"r.example":"acme"}}`)}}
		Expect(loginOf(k, "r.example/x")).To(Equal("ann:from r.example"))
		Expect(loginOf(k, "other.example/x")).To(BeEmpty())
	})

	It("asks a credential helper once for all repositories of a host, and for several hosts at the same time", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		helper("counting", `echo $host >> `+dir+`/asked
touch `+dir+`/$host
i=0; while [ ! -e `+dir+`/r.example -o ! -e `+dir+`/s.example ]; do sleep 1; i=$((i+1)); [ $i = 15 ] && exit 1; done
echo '{"Username":"ann","Secret":"from '$host'"}'`)
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credsStore":"counting"}`)}}
		var group sync.WaitGroup
		for i := range 20 {
			for _, host := range []string{"r.example", "s.example"} {
				group.Go(func() {
					defer GinkgoRecover()
					Expect(loginOf(k, fmt.Sprintf("%s/x%d", host, i))).To(Equal("ann:from " + host))
				})
			}
		}
		group.Wait()
		Expect(loginOf(k, "r.example/later")).To(Equal("ann:from r.example"))
		asked, err := os.ReadFile(filepath.Join(dir, "asked"))
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Fields(string(asked))).To(ConsistOf("r.example", "s.example"))
	}, NodeTimeout(30*time.Second))

	It("asks the credential helper that the file names for a repository", func() {
		helper("acme", `echo '{"Username":"ann","Secret":"from '$host'"}'`)
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credHelpers":{"r.example":"acme","r.example/x":"acme"}}`)}}
		Expect(loginOf(k, "r.example/x")).To(Equal("ann:from r.example/x"))
		Expect(loginOf(k, "r.example/y")).To(Equal("ann:from r.example"))
	})

	It("asks again after an error of a credential helper", func() {
		dir := GinkgoT().TempDir()
		helper("moody", `[ -e `+dir+`/asked ] && echo '{"Username":"ann","Secret":"a"}' && exit; touch `+dir+`/asked; echo locked; exit 1`)
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credsStore":"moody"}`)}}
		_, err := loginOf(k, "r.example/x")
		Expect(err).To(MatchError(ContainSubstring("locked")))
		Expect(loginOf(k, "r.example/x")).To(Equal("ann:a"))
	})

	It("continues without a credential helper that is not installed, and warns once", func() {
		file := configFile(`{"credsStore":"not-installed","auths":{"old.example":{"auth":"YW5uOmE="}}}`)
		var warned []string
		k := &registry.DockerKeychain{Files: []string{file}, Warn: func(m string) { warned = append(warned, m) }}
		Expect(loginOf(k, "r.example/x")).To(BeEmpty())
		Expect(loginOf(k, "r.example/y")).To(BeEmpty())
		Expect(loginOf(k, "old.example/x")).To(Equal("ann:a"), "as docker does")
		Expect(warned).To(Equal([]string{"credential helper docker-credential-not-installed (" + file + ") is not installed; continuing without its credentials"}))
		Expect(k.Missing()).To(HaveKeyWithValue("r.example", And(ContainSubstring("docker-credential-not-installed"), ContainSubstring(file))))
		Expect(k.Missing()).NotTo(HaveKey("old.example"), "there were credentials for it")
	})

	DescribeTable("says in one line that a credential helper fails",
		func(script, why string) {
			helper("broken", script)
			file := configFile(`{"credsStore":"broken"}`)
			_, err := loginOf(&registry.DockerKeychain{Files: []string{file}}, "r.example/x")
			Expect(err).To(MatchError(And(HavePrefix("credential helper docker-credential-broken ("+file+"): "), ContainSubstring(why))))
			Expect(err.Error()).NotTo(Or(ContainSubstring("\n"), ContainSubstring("hunter2")))
		},
		Entry("with its own words", "echo 'the store is locked'; exit 1", "the store is locked"),
		Entry("but not with a secret", `echo '{"Username":"ann","Secret":"hunter2"}'; exit 1`, "exit status 1"),
	)

	It("ends a credential helper that hangs with the run, for everybody that waits for it", func(ctx SpecContext) {
		started := filepath.Join(GinkgoT().TempDir(), "started")
		helper("hanging", "touch "+started+"\nsleep 15 2>/dev/null & wait")
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credsStore":"hanging"}`)}}
		run, stop := context.WithCancel(ctx)
		repo, err := name.NewRepository("r.example/x")
		Expect(err).NotTo(HaveOccurred())
		failed := make(chan error)
		for range 3 {
			go func() {
				_, err := authn.Resolve(run, k, repo)
				failed <- err
			}()
		}
		Eventually(started).Should(BeAnExistingFile())
		stop()
		for range 3 {
			Expect(<-failed).To(MatchError(context.Canceled))
		}
	}, NodeTimeout(20*time.Second))

	It("says which credential helper is waited for, and gives it up", func(SpecContext) {
		helper("silent", "exec sleep 60")
		file := configFile(`{"credsStore":"silent"}`)
		warned := make(chan string, 5)
		k := &registry.DockerKeychain{Files: []string{file}, HelperTime: 300 * time.Millisecond, Warn: func(m string) { warned <- m }}
		_, err := loginOf(k, "r.example/x")
		Expect(err).To(MatchError("credential helper docker-credential-silent (" + file + "): no response in 300ms; unlock it, or remove it from the file"))
		Expect(warned).To(Receive(Equal("waiting for credential helper docker-credential-silent (" + file + ")")))
		Expect(warned).NotTo(Receive())
	}, NodeTimeout(20*time.Second))

	DescribeTable("takes what a credential helper has", func(script string, want authn.AuthConfig) {
		helper("acme", script)
		k := &registry.DockerKeychain{Files: []string{configFile(`{"credsStore":"acme"}`)}}
		repo, err := name.NewRepository("r.example/x")
		Expect(err).NotTo(HaveOccurred())
		found, err := k.Resolve(repo)
		Expect(err).NotTo(HaveOccurred())
		auth, err := found.Authorization()
		Expect(err).NotTo(HaveOccurred())
		Expect(*auth).To(Equal(want))
	},
		Entry("a password", `echo '{"Username":"ann","Secret":"a"}'`, authn.AuthConfig{Username: "ann", Password: "a"}),
		Entry("an identity token", `echo '{"Username":"<token>","Secret":"t"}'`, authn.AuthConfig{IdentityToken: "t"}),
		Entry("nothing", `echo 'credentials not found in native keychain'; exit 1`, authn.AuthConfig{}),
	)

	It("says which file is invalid", func() {
		file := configFile(`{`)
		_, err := loginOf(&registry.DockerKeychain{Files: []string{file}}, "r.example/x")
		Expect(err).To(MatchError(HavePrefix("credentials in " + file + ": invalid file: ")))
	})
})

var _ = Describe("CredentialFiles", func() {
	It("are Docker's, then podman's", func() {
		Expect(registry.CredentialFiles("/d", "/a.json", "/run/1", "/c")).To(Equal([]string{"/d/config.json", "/a.json", "/run/1/containers/auth.json", "/c/containers/auth.json"}))
		Expect(registry.CredentialFiles("/d", "", "", "")).To(Equal([]string{"/d/config.json"}))
	})
})
