// Package daemon finds the Docker daemon as the docker command does: by
// DOCKER_HOST, or by a context, over a local socket, TCP with TLS, or ssh.
//
// ssh is called with docker/cli's own code. A context is a small JSON file and up to three PEM
// files, which this package reads itself: docker/cli's packages for it also write contexts, and
// require three more modules.
package daemon

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/go-connections/tlsconfig"
	"github.com/moby/moby/client"
)

// Options locate the daemon. The zero value is the local socket.
type Options struct {
	// Host is DOCKER_HOST. It takes precedence over contexts.
	Host string
	// Context is DOCKER_CONTEXT, the name of a context; "" is the current one
	// of config.json.
	Context string
	// ConfigDir is DOCKER_CONFIG, the directory with config.json and the
	// contexts; "" is none.
	ConfigDir string
	// TLS is DOCKER_TLS, TLSVerify is DOCKER_TLS_VERIFY: whether to use TLS for Host, and whether
	// to verify its certificate.
	TLS, TLSVerify bool
	// CertDir is DOCKER_CERT_PATH, the directory with ca.pem, cert.pem and key.pem for Host; "" is
	// ConfigDir. If it is set, TLS is used.
	CertDir string
	// APIVersion is DOCKER_API_VERSION; "" is negotiated.
	APIVersion string
}

// endpoint is the address of the daemon, with its TLS options.
type endpoint struct {
	host string
	tls  *tlsconfig.Options // nil for none
}

// Client returns a client of the daemon, without connecting. Errors hold no key or password. The
// caller must close the client.
func (o Options) Client() (*client.Client, error) {
	e, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	options, err := e.options()
	if err != nil {
		return nil, fmt.Errorf("daemon host %s: %w", e.masked(), err)
	}
	if o.APIVersion != "" {
		options = append(options, client.WithAPIVersion(o.APIVersion))
	}
	c, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("invalid Docker host %s, or API version %q", e.masked(), o.APIVersion)
	}
	return c, nil
}

// PingTime returns how long the daemon may take for its first response. ssh takes longer: it has to
// connect, and to start a command.
func (o Options) PingTime() time.Duration {
	if e, err := o.endpoint(); err == nil && strings.HasPrefix(e.host, "ssh://") {
		return 40 * time.Second
	}
	return 10 * time.Second
}

// endpoint chooses between host and context like the docker command.
func (o Options) endpoint() (endpoint, error) {
	if o.Host != "" {
		return o.plain(), nil
	}
	name, from := o.Context, "DOCKER_CONTEXT"
	if name == "" && o.ConfigDir != "" {
		file, err := config.Load(o.ConfigDir)
		if err != nil {
			return endpoint{}, fmt.Errorf("configuration of Docker: %w", err)
		}
		name, from = file.CurrentContext, "currentContext in "+filepath.Join(o.ConfigDir, config.ConfigFileName)
	}
	if name == "" || name == defaultContext {
		return o.plain(), nil
	}
	e, err := o.context(name)
	if err != nil {
		return endpoint{}, fmt.Errorf("context %q of Docker (%s): %w", name, from, err)
	}
	return e, nil
}

// plain returns the endpoint without a context.
func (o Options) plain() endpoint {
	e := endpoint{host: o.Host}
	if e.host == "" {
		e.host = client.DefaultDockerHost
	}
	if o.TLS || o.TLSVerify || o.CertDir != "" {
		dir := o.CertDir
		if dir == "" {
			dir = o.ConfigDir
		}
		e.tls = tlsFiles(dir, !o.TLSVerify)
	}
	return e
}

// tlsFiles returns the TLS options for the files in a directory.
func tlsFiles(dir string, skipVerify bool) *tlsconfig.Options {
	file := func(name string) string {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		return path
	}
	return &tlsconfig.Options{
		CAFile: file("ca.pem"), CertFile: file("cert.pem"), KeyFile: file("key.pem"),
		InsecureSkipVerify: skipVerify, ExclusiveRootPools: true,
	}
}

// options returns the client's options.
func (e endpoint) options() ([]client.Opt, error) {
	ssh, err := connhelper.GetConnectionHelper(e.host)
	switch {
	case strings.HasPrefix(e.host, "ssh://") && err != nil:
		return nil, err
	case ssh != nil:
		return []client.Opt{
			client.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: ssh.Dialer}}), // no TLS, and no proxy
			client.WithHost(ssh.Host),
			client.WithDialContext(ssh.Dialer),
		}, nil
	case e.tls == nil || strings.HasPrefix(e.host, "unix://"):
		return []client.Opt{client.WithHost(e.host)}, nil
	}
	secure, err := tlsconfig.Client(*e.tls)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second, Timeout: 30 * time.Second}
	return []client.Opt{
		client.WithHTTPClient(&http.Client{
			Transport:     &http.Transport{TLSClientConfig: secure, DialContext: dialer.DialContext},
			CheckRedirect: client.CheckRedirect,
		}),
		client.WithHost(e.host),
	}, nil
}

// masked returns the host without a password.
func (e endpoint) masked() string {
	u, err := url.Parse(e.host)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}
