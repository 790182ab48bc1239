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

// defaultContext is the name of the context that stands for no context.
const defaultContext = "default"

// context reads a context of docker's context store: a directory "meta" and a
// directory "tls", and in both one directory for each context, called by the
// SHA-256 of its name (docker/cli, package cli/context/store).
func (o Options) context(name string) (endpoint, error) {
	if o.ConfigDir == "" {
		return endpoint{}, errors.New("there is no directory with contexts; set DOCKER_CONFIG or HOME")
	}
	sum := sha256.Sum256([]byte(name))
	store, id := filepath.Join(o.ConfigDir, "contexts"), hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(store, "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("unknown context, none of those in %s; `docker context ls` lists them", store)
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
		return endpoint{}, errors.New("it has no Docker host; `docker context update` sets one")
	}
	e := endpoint{host: docker.Host}
	files := tlsFiles(filepath.Join(store, "tls", id, "docker"), docker.SkipTLSVerify)
	if docker.SkipTLSVerify || files.CAFile != "" || files.CertFile != "" {
		e.tls = files
	}
	return e, nil
}
