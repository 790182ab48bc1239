package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// DockerKeychain finds credentials where the docker command does, and then
// where podman does. It differs from authn.DefaultKeychain in that it reads no
// environment, honours Auth without a file too, and goes on without a
// credential helper that is not installed, as `docker pull` does. It is safe
// for concurrent use, and must not be copied after its first use.
type DockerKeychain struct {
	// Auth is what DOCKER_AUTH_CONFIG holds. It goes before the files.
	Auth string
	// Files are those that may hold credentials; the first that exists counts.
	Files []string
	// Warn is called with what is missing and not waited for (a credential helper
	// that is not installed, once; an Auth that cannot be read), and with the
	// helper that is waited for. It may be nil.
	Warn func(message string)
	// HelperTime is how long a credential helper may take; 0 is a minute. After a
	// sixtieth of it, Warn is called with the helper's name.
	HelperTime time.Duration

	mu      sync.Mutex
	loaded  bool
	failed  error
	auths   map[string]types.AuthConfig // of Auth
	file    *configfile.ConfigFile      // nil for none
	missing map[string]string           // helpers that are not installed, by the host that has no credentials without them
	warned  map[string]bool             // of these helpers
}

// Resolve implements authn.Keychain.
func (k *DockerKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain. Credential helpers run one
// at a time, and end with their context.
func (k *DockerKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !k.loaded {
		k.failed, k.loaded = k.load(), true
	}
	if k.failed != nil {
		return nil, k.failed
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		found, err := k.lookup(ctx, key, target.RegistryStr())
		if err != nil {
			return nil, err
		}
		found.ServerAddress = ""
		if found != (types.AuthConfig{}) {
			delete(k.missing, target.RegistryStr())
			return authn.FromConfig(authn.AuthConfig{
				Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
			}), nil
		}
	}
	return authn.Anonymous, nil
}

// Missing returns a sentence for each host, by its name, for which there are no
// credentials because the credential helper for it is not installed.
func (k *DockerKeychain) Missing() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	said := map[string]string{}
	for host, helper := range k.missing {
		said[host] = fmt.Sprintf("credential helper %s, which %s names, is not installed, so that no credentials were sent to %s; install it, or remove it from the file and log in again", helper, k.file.Filename, host)
	}
	return said
}

// load reads Auth and the file.
func (k *DockerKeychain) load() error {
	var err error
	if k.auths, err = parseAuth(k.Auth); err != nil {
		k.warn(err.Error() + "; going on without it")
	}
	for _, path := range k.Files {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
		k.file, err = config.LoadFromReader(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("credentials in %s: invalid file: %w", path, err)
		}
		k.file.Filename = path
		return nil
	}
	return nil
}

// parseAuth reads DOCKER_AUTH_CONFIG: config.json's auths, with nothing but
// "auth" in each (docker/cli's configfile, parseEnvConfig). Errors hold no value.
func parseAuth(s string) (map[string]types.AuthConfig, error) {
	if s == "" {
		return nil, nil
	}
	var parsed struct {
		Auths map[string]struct {
			Auth string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal([]byte(s), &parsed); err != nil {
		return nil, errors.New(`invalid DOCKER_AUTH_CONFIG: it must hold JSON such as {"auths":{"HOST":{"auth":"BASE64 OF USER:PASSWORD"}}}`)
	}
	auths := map[string]types.AuthConfig{}
	for host, a := range parsed.Auths {
		decoded, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok || user == "" {
			return nil, fmt.Errorf("invalid DOCKER_AUTH_CONFIG: host %q: auth is missing, or not the base64 of USER:PASSWORD", host)
		}
		auths[host] = types.AuthConfig{Username: user, Password: strings.Trim(password, "\x00")}
	}
	return auths, nil
}

// lookup finds the credentials for one key, as docker does: in Auth, from a
// helper, in the file.
func (k *DockerKeychain) lookup(ctx context.Context, key, host string) (types.AuthConfig, error) {
	if found, ok := k.auths[key]; ok {
		return found, nil
	}
	for _, known := range slices.Sorted(maps.Keys(k.auths)) {
		if key == host && host == credentials.ConvertToHostname(known) {
			return k.auths[known], nil
		}
	}
	if k.file == nil {
		return types.AuthConfig{}, nil
	}
	suffix, ok := k.file.CredentialHelpers[key]
	if !ok {
		suffix = k.file.CredentialsStore
	}
	helper := "docker-credential-" + suffix
	switch _, err := exec.LookPath(helper); {
	case suffix == "":
	case err != nil:
		k.note(helper, host)
	default:
		return k.ask(ctx, helper, key)
	}
	return credentials.NewFileStore(k.file).Get(key)
}

// note remembers a helper that is not installed, and warns of it once.
func (k *DockerKeychain) note(helper, host string) {
	if k.missing == nil {
		k.missing, k.warned = map[string]string{}, map[string]bool{}
	}
	k.missing[host] = helper
	if !k.warned[helper] {
		k.warned[helper] = true
		k.warn(fmt.Sprintf("credential helper %s, which %s names, is not installed; going on without its credentials", helper, k.file.Filename))
	}
}

func (k *DockerKeychain) warn(message string) {
	if k.Warn != nil {
		k.Warn(message)
	}
}

// CredentialFiles returns the files in which credentials may be, the first that
// exists counts: Docker's config.json, the file that REGISTRY_AUTH_FILE names,
// and podman's auth.json in the runtime directory or the configuration directory.
// Values that are empty are left out.
func CredentialFiles(configDir, registryAuthFile, runtimeDir, userConfigDir string) []string {
	var files []string
	add := func(dir string, path ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, path...)...))
		}
	}
	add(configDir, config.ConfigFileName)
	add(registryAuthFile)
	add(runtimeDir, "containers", "auth.json")
	add(userConfigDir, "containers", "auth.json")
	return files
}
