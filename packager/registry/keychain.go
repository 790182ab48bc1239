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

// DockerKeychain finds credentials where the docker command does, then where podman does. Unlike
// authn.DefaultKeychain, it does not read the environment, uses Auth even without a file, and
// continues without a credential helper that is not installed, like `docker pull`. It is safe for
// concurrent use, and must not be copied after its first use.
type DockerKeychain struct {
	// Auth is the value of DOCKER_AUTH_CONFIG. It takes precedence over the files.
	Auth string
	// Files may hold credentials; the first that exists is used.
	Files []string
	// Warn is called, once each, about a credential helper that is not installed, an invalid Auth,
	// and a helper that takes long. It may be nil, and must be safe for concurrent use.
	Warn func(message string)
	// HelperTime is how long a credential helper may take; 0 means a minute. After a sixtieth of
	// it, Warn is called with the helper's name.
	HelperTime time.Duration

	asking flights[question, types.AuthConfig]

	mu      sync.Mutex
	loaded  bool // auths and file do not change any more
	failed  error
	auths   map[string]types.AuthConfig // of Auth
	file    *configfile.ConfigFile      // nil if there is none
	missing map[string]string           // helpers that are not installed, by the host that needs them
	warned  map[string]bool             // by helper
	told    map[question]told
}

// question is what a credential helper is asked.
type question struct{ helper, key string }

// told is the answer of a credential helper.
type told struct {
	login types.AuthConfig
	at    time.Time
}

// toldAge is how long the answer of a credential helper is used.
const toldAge = 5 * time.Minute

// Resolve implements authn.Keychain.
func (k *DockerKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain. A credential helper is run once for each host, with
// what it says used for five minutes, and ends with ctx.
func (k *DockerKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := k.loadOnce(); err != nil {
		return nil, err
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		isHost := key == target.RegistryStr()
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		found, err := k.lookup(ctx, key, target.RegistryStr(), isHost)
		if err != nil {
			return nil, err
		}
		found.ServerAddress = ""
		if found != (types.AuthConfig{}) {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.missing, target.RegistryStr())
			return authn.FromConfig(authn.AuthConfig{
				Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
			}), nil
		}
	}
	return authn.Anonymous, nil
}

// Missing returns a message for each host, by name, that has no credentials because its credential
// helper is not installed.
func (k *DockerKeychain) Missing() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	said := map[string]string{}
	for host, helper := range k.missing {
		said[host] = fmt.Sprintf("credential helper %s (%s) is not installed, so no credentials were sent to %s; install it, or remove it from the file and log in again", helper, k.file.Filename, host)
	}
	return said
}

func (k *DockerKeychain) loadOnce() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.loaded {
		k.failed, k.loaded = k.load(), true
	}
	return k.failed
}

// load reads Auth and the file.
func (k *DockerKeychain) load() error {
	var err error
	if k.auths, err = parseAuth(k.Auth); err != nil {
		k.warn(err.Error() + "; continuing without it")
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
		k.file.GetAuthConfigs() // makes the map if there is none, which concurrent readers must not do
		return nil
	}
	return nil
}

// parseAuth parses DOCKER_AUTH_CONFIG: the auths of config.json, with only "auth" in each
// (docker/cli's configfile, parseEnvConfig). Errors do not quote values.
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

// lookup finds the credentials for one key, like docker: in Auth, from a helper, in the file. A helper
// for all hosts knows hosts only, and is not asked for each repository.
func (k *DockerKeychain) lookup(ctx context.Context, key, host string, isHost bool) (types.AuthConfig, error) {
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
	suffix, named := k.file.CredentialHelpers[key]
	if !named {
		suffix = k.file.CredentialsStore
	}
	helper := "docker-credential-" + suffix
	switch _, err := exec.LookPath(helper); {
	case suffix == "":
	case err != nil:
		k.note(helper, host)
	case named || isHost:
		return k.askOnce(ctx, question{helper, key})
	default:
		return types.AuthConfig{}, nil
	}
	return credentials.NewFileStore(k.file).Get(key)
}

// askOnce runs a credential helper, unless it has been asked the same lately. Concurrent callers wait
// for one run. Errors are not kept.
func (k *DockerKeychain) askOnce(ctx context.Context, q question) (types.AuthConfig, error) {
	known := func() (types.AuthConfig, bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		t := k.told[q]
		return t.login, time.Since(t.at) < toldAge
	}
	return k.asking.do(ctx, q, func() (types.AuthConfig, error) {
		if login, is := known(); is {
			return login, nil
		}
		login, err := k.ask(ctx, q.helper, q.key)
		if err == nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.told == nil {
				k.told = map[question]told{}
			}
			k.told[q] = told{login, time.Now()}
		}
		return login, err
	})
}

// note records a helper that is not installed, and warns about it once.
func (k *DockerKeychain) note(helper, host string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.missing == nil {
		k.missing, k.warned = map[string]string{}, map[string]bool{}
	}
	k.missing[host] = helper
	if !k.warned[helper] {
		k.warned[helper] = true
		k.warn(fmt.Sprintf("credential helper %s (%s) is not installed; continuing without its credentials", helper, k.file.Filename))
	}
}

func (k *DockerKeychain) warn(message string) {
	if k.Warn != nil {
		k.Warn(message)
	}
}

// CredentialFiles returns the files that may hold credentials, for DockerKeychain.Files: Docker's
// config.json, the file in REGISTRY_AUTH_FILE, and podman's auth.json in the runtime or
// configuration directory. Empty arguments are ignored.
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
