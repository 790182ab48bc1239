package daemon_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/daemon"
)

func put(path, content string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	Expect(os.WriteFile(path, []byte(content), 0o755)).To(Succeed())
}

// putContext writes a context as `docker context create` does, and returns the
// directory of its TLS files.
func putContext(config, name, meta string) string {
	GinkgoHelper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	put(filepath.Join(config, "contexts/meta", id, "meta.json"), meta)
	return filepath.Join(config, "contexts/tls", id, "docker")
}

func toHost(host string) string {
	return fmt.Sprintf(`{"Name":"x","Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, host)
}

// ping asks the daemon that the options lead to.
func ping(o daemon.Options) error {
	c, err := o.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Ping(context.Background(), client.PingOptions{})
	return err
}

// engineOn answers on the listener, and counts what it is asked.
func engineOn(l net.Listener) *int {
	asked := new(int)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*asked++
		w.Header().Set("Api-Version", "1.45")
	})}
	go func() { _ = server.Serve(l) }()
	DeferCleanup(server.Close)
	return asked
}

func socket() (string, *int) {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "s")
	l, err := net.Listen("unix", path)
	Expect(err).NotTo(HaveOccurred())
	return "unix://" + path, engineOn(l)
}

var _ = Describe("the daemon", func() {
	It("is that of DOCKER_HOST, of DOCKER_CONTEXT, of the current context, in this order", func() {
		config := GinkgoT().TempDir()
		host, atHost := socket()
		named, atNamed := socket()
		current, atCurrent := socket()
		putContext(config, "named", toHost(named))
		putContext(config, "current", toHost(current))
		put(filepath.Join(config, "config.json"), `{"currentContext":"current"}`)

		Expect(ping(daemon.Options{Host: host, Context: "named", ConfigDir: config})).To(Succeed())
		Expect([]int{*atHost, *atNamed, *atCurrent}).To(Equal([]int{1, 0, 0}))
		Expect(ping(daemon.Options{Context: "named", ConfigDir: config})).To(Succeed())
		Expect([]int{*atHost, *atNamed, *atCurrent}).To(Equal([]int{1, 1, 0}))
		Expect(ping(daemon.Options{ConfigDir: config})).To(Succeed())
		Expect([]int{*atHost, *atNamed, *atCurrent}).To(Equal([]int{1, 1, 1}))
	})

	DescribeTable("is the local one",
		func(config string) {
			dir := GinkgoT().TempDir()
			if config != "" {
				put(filepath.Join(dir, "config.json"), config)
			}
			c, err := daemon.Options{ConfigDir: dir}.Client()
			Expect(err).NotTo(HaveOccurred())
			Expect(c.DaemonHost()).To(Equal(client.DefaultDockerHost))
			Expect(c.Close()).To(Succeed())
		},
		Entry("without a configuration", ""),
		Entry("without a context", `{}`),
		Entry("with the default context", `{"currentContext":"default"}`),
	)

	DescribeTable("is not guessed",
		func(o daemon.Options, config, meta, why string) {
			o.ConfigDir = GinkgoT().TempDir()
			put(filepath.Join(o.ConfigDir, "config.json"), config)
			if meta != "" {
				putContext(o.ConfigDir, "acme", meta)
			}
			_, err := o.Client()
			Expect(err).To(MatchError(ContainSubstring(why)))
			Expect(err.Error()).NotTo(ContainSubstring("secret"))
		},
		Entry("an unknown context in the environment", daemon.Options{Context: "acme"}, `{}`, "", `context "acme" of Docker (DOCKER_CONTEXT): not found in`),
		Entry("an unknown current context", daemon.Options{}, `{"currentContext":"acme"}`, "", "config.json): not found in"),
		Entry("a context that is not JSON", daemon.Options{Context: "acme"}, `{}`, "{", "meta.json: "),
		Entry("a context without a host", daemon.Options{Context: "acme"}, `{}`, "{}", "missing Docker host"),
		Entry("a configuration that is not JSON", daemon.Options{}, `{`, "", "config.json"),
		Entry("a host of an unknown form", daemon.Options{Host: "nonsense"}, `{}`, "", "invalid Docker host nonsense"),
		Entry("an ssh host with a password", daemon.Options{Host: "ssh://ann:secret@example.com"}, `{}`, "", "plain-text password is not supported"),
	)

	It("is spoken to with the TLS files of its context, or of DOCKER_CERT_PATH", func() {
		server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		DeferCleanup(server.Close)
		host := strings.Replace(server.URL, "https://", "tcp://", 1)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		config, certs := GinkgoT().TempDir(), GinkgoT().TempDir()
		put(filepath.Join(putContext(config, "right", toHost(host)), "ca.pem"), ca)
		put(filepath.Join(certs, "ca.pem"), ca)
		putContext(config, "bare", toHost(host))
		putContext(config, "lax", strings.Replace(toHost(host), "false", "true", 1))

		Expect(ping(daemon.Options{Context: "right", ConfigDir: config})).To(Succeed())
		Expect(ping(daemon.Options{Context: "lax", ConfigDir: config})).To(Succeed())
		Expect(ping(daemon.Options{Context: "bare", ConfigDir: config})).NotTo(Succeed(), "it speaks TLS only")
		Expect(ping(daemon.Options{Host: host, TLSVerify: true, CertDir: certs})).To(Succeed())
		Expect(ping(daemon.Options{Host: host, TLSVerify: true, ConfigDir: certs})).To(Succeed())
		Expect(ping(daemon.Options{Host: host, TLSVerify: true, CertDir: config})).To(MatchError(ContainSubstring("certificate")))
		put(filepath.Join(certs, "cert.pem"), ca)
		put(filepath.Join(certs, "key.pem"), "no key, but secret")
		err := ping(daemon.Options{Host: host, TLSVerify: true, CertDir: certs})
		Expect(err).To(MatchError(ContainSubstring("TLS")))
		Expect(err.Error()).NotTo(ContainSubstring("secret"))
	})

	It("is reached over ssh as the docker command does it", func() {
		host, asked := socket()
		bin := GinkgoT().TempDir()
		log := filepath.Join(bin, "log")
		put(filepath.Join(bin, "ssh"), "#!/bin/sh\necho \"$@\" >>"+log+"\nexec python3 -c '"+pipe+"' "+strings.TrimPrefix(host, "unix://")+"\n")
		GinkgoT().Setenv("PATH", bin+":"+os.Getenv("PATH"))
		Expect(ping(daemon.Options{Host: "ssh://ann@docker.example.com:2222"})).To(Succeed())
		Expect(*asked).To(Equal(1))
		said, err := os.ReadFile(log)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(said)).To(And(ContainSubstring("-l ann -p 2222"), HaveSuffix("docker.example.com docker system dial-stdio\n")))
	})
})

// pipe connects standard input and output with a socket, as `docker system
// dial-stdio` does.
const pipe = `
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def up():
    while True:
        b = os.read(0, 65536)
        if not b:
            break
        s.sendall(b)
threading.Thread(target=up, daemon=True).start()
while True:
    b = s.recv(65536)
    if not b:
        break
    os.write(1, b)
`
