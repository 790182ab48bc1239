package cli

import (
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/packager/daemon"
	"laminate/packager/location"
	"laminate/packager/registry"
	"laminate/packager/source"
)

// This file reads the environment variables that the docker command reads.

// dockerConfig is the directory of Docker's config.json, or "".
func (r *run) dockerConfig() string {
	if dir := r.env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	if home := r.home(); home != "" {
		return filepath.Join(home, ".docker")
	}
	return ""
}

// home is the user's home directory, or "".
func (r *run) home() string {
	if runtime.GOOS == "windows" {
		return r.env("USERPROFILE")
	}
	return r.env("HOME")
}

// dockerDaemon returns the address of the Docker daemon.
func (r *run) dockerDaemon() daemon.Options {
	return daemon.Options{
		Host: r.env("DOCKER_HOST"), Context: r.env("DOCKER_CONTEXT"), ConfigDir: r.dockerConfig(),
		TLS: r.env("DOCKER_TLS") != "", TLSVerify: r.env("DOCKER_TLS_VERIFY") != "", CertDir: r.env("DOCKER_CERT_PATH"), APIVersion: r.env("DOCKER_API_VERSION"),
	}
}

// openKeychain returns the source of registry credentials.
func (r *run) openKeychain(warn func(string)) *registry.DockerKeychain {
	userConfig := r.env("XDG_CONFIG_HOME")
	if home := r.home(); userConfig == "" && home != "" {
		userConfig = filepath.Join(home, ".config")
	}
	r.keychain = &registry.DockerKeychain{
		Auth:  r.env("DOCKER_AUTH_CONFIG"),
		Files: registry.CredentialFiles(r.dockerConfig(), r.env("REGISTRY_AUTH_FILE"), r.env("XDG_RUNTIME_DIR"), userConfig),
		Warn:  warn,
	}
	return r.keychain
}

// missingHelpers describes, if a registry refused a request, the missing credential helpers.
func (r *run) missingHelpers(err error) string {
	var answer *transport.Error
	refused := errors.Is(err, source.ErrNotThere)
	if errors.As(err, &answer) {
		refused = slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, answer.StatusCode)
	}
	if !refused || r.keychain == nil {
		return ""
	}
	missing, said := r.keychain.Missing(), ""
	for _, host := range slices.Sorted(maps.Keys(missing)) {
		if host == name.DefaultRegistry || strings.Contains(err.Error(), host) {
			said += "\n" + printable(missing[host])
		}
	}
	return said
}

// readPolicy reads --pull-policy. Without it, the policy is the zero value.
func (s *session) readPolicy() (err error) {
	given := s.c.String("pull-policy")
	if given == "" {
		return nil
	}
	s.policy, err = source.ParsePullPolicy(given)
	if s.policy == source.Never && s.c.Bool("publish") {
		err = errors.New("--publish and --pull-policy never contradict each other: what is published is made of the registry's images; leave out --pull-policy")
	}
	return err
}

// fromDaemon reports whether the images that a TOML file lists come from the Docker daemon, as in
// pack: they do if the output goes to it or, with a pull policy, if the output is a file.
func (o *output) fromDaemon() bool {
	switch o.dest.Kind {
	case location.Daemon:
		return true
	case location.Path, location.OCIArchive, location.DockerArchive:
		return o.policy != ""
	}
	return false
}
