package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxEntry is the maximum size of an entry, which is held in memory.
const maxEntry = 4 << 20

// errSpoiled is the error for invalid files.
var errSpoiled = errors.New("spoiled")

// entry is the JSON of an entry.
type entry struct {
	Key    string          `json:"key"`
	Record json.RawMessage `json:"record"`
	Blob   *blobRef        `json:"blob,omitempty"`
}

// blobRef identifies a blob.
type blobRef struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"`
}

// The directories of entries, blobs, trees and unfinished files.
const (
	entries = "entries"
	blobs   = "blobs/sha256"
	trees   = "trees"
	temps   = "tmp"
)

// entryName returns the path of the entry for a key.
func entryName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return shard(entries, hex.EncodeToString(sum[:]))
}

// name returns the path of the blob.
func (r blobRef) name() string { return shard(blobs, r.Digest.Hex) }

func shard(dir, digest string) string { return path.Join(dir, digest[:2], digest) }

// encode encodes an entry.
func encode(key string, value any, blob *blobRef) ([]byte, error) {
	record, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("record for %s: %w", key, err)
	}
	body, err := json.Marshal(entry{key, record, blob})
	if err != nil {
		return nil, fmt.Errorf("record for %s: %w", key, err)
	}
	data := seal(body)
	if len(data) > maxEntry {
		return nil, fmt.Errorf("record for %s: %d bytes, the limit is %d", key, len(data), maxEntry)
	}
	return data, nil
}

// seal returns a body with its digest in front.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append([]byte(hex.EncodeToString(sum[:])+"\n"), body...)
}

// decode decodes an entry; its error is errSpoiled.
func decode(data []byte) (entry, error) {
	if len(data) > maxEntry {
		return entry{}, errSpoiled
	}
	_, body, found := bytes.Cut(data, []byte("\n"))
	if !found || !bytes.Equal(seal(body), data) {
		return entry{}, errSpoiled
	}
	var e entry
	if err := json.Unmarshal(body, &e); err != nil {
		return entry{}, errSpoiled
	}
	if b := e.Blob; b != nil && (b.Digest.Algorithm != "sha256" || b.Size < 0) {
		return entry{}, errSpoiled
	}
	return e, nil
}

// kind returns the part of a key before its first space.
func kind(key string) string {
	word, _, _ := strings.Cut(key, " ")
	return word
}
