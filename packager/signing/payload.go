package signing

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// payloadType is the type that cosign checks.
const payloadType = "cosign container image signature"

// payload is a simple signing document (containers/image, "containers-signature(5)").
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// Payload returns what is signed for a digest in a repository, byte for byte what cosign signs.
func Payload(repository string, digest v1.Hash) ([]byte, error) {
	var p payload
	p.Critical.Identity.Reference = repository
	p.Critical.Image.Digest = digest.String()
	p.Critical.Type = payloadType
	return json.Marshal(p)
}

// Check returns an error if a payload is not about the digest. As with cosign, the repository in it
// does not count: a signed image may be copied.
func Check(raw []byte, digest v1.Hash) error {
	var p payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("invalid payload: %w", err)
	}
	switch {
	case p.Critical.Type != payloadType:
		return fmt.Errorf("invalid payload: its type is %.100q", p.Critical.Type)
	case p.Critical.Image.Digest != digest.String():
		return fmt.Errorf("it is about %.100q", p.Critical.Image.Digest)
	}
	return nil
}

// Verify returns an error if a signature is not one of the key for the digest.
func (k *PublicKey) Verify(s Signature, digest v1.Hash) error {
	if err := k.verify(s.Payload, s.Signature); err != nil {
		return err
	}
	return Check(s.Payload, digest)
}
