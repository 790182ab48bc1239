package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// defaultContext is the name that means no context.
const defaultContext = "default"

// context reads a context of docker's context store: directories "meta" and "tls", both with one
// directory for each context, named by the SHA-256 of its name (docker/cli, package
// cli/context/store).
func (o Options) context(name string) (endpoint, error) {
	if o.ConfigDir == "" {
		return endpoint{}, errors.New("missing directory of contexts; set DOCKER_CONFIG or HOME")
	}
	sum := sha256.Sum256([]byte(name))
	store, id := filepath.Join(o.ConfigDir, "contexts"), hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(store, "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("not found in %s; list contexts with `docker context ls`", store)
	}
	if err != nil {
		return endpoint{}, err
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return endpoint{}, fmt.Errorf("meta.json: %w", err)
	}
	docker := meta.Endpoints["docker"]
	if docker.Host == "" {
		return endpoint{}, errors.New("missing Docker host; set it with `docker context update`")
	}
	e := endpoint{host: docker.Host}
	files := tlsFiles(filepath.Join(store, "tls", id, "docker"), docker.SkipTLSVerify)
	if docker.SkipTLSVerify || files.CAFile != "" || files.CertFile != "" {
		e.tls = files
	}
	return e, nil
}
